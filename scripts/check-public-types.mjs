// Checks which types and traits of other crates the public API names. A new version of such a crate is a new version of keywire,
// so each of them is a decision. rustdoc's JSON is unstable, and RUSTC_BOOTSTRAP makes the stable compiler write it.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** What the public API may name, and why. */
const allowed = {
  "bytes::bytes::Bytes": "the ecosystem's shared bytes",
  "http::": "the ecosystem's types of requests and responses, 1.x",
  "serde_core::": "the derives of users",
  "tokio::io::async_": "what a connection runs over",
  "tokio::net::": "what a server listens on",
  "futures_core::": "streams, and the boxed futures of async_trait",
  "http_body::": "the body of a request that `serve` passes to a service",
  "hyper::service::service::Service": "what `serve_hyper` takes",
  "hyper::upgrade::OnUpgrade": "`Connection::run_upgraded`, feature `hyper`",
  "hyper_util::service::glue::TowerToHyperService": "names what `serve` returns; nobody has to write it",
  "tower_service::Service": "what `serve` takes",
  "rustls::server::server_conn::ServerConfig": "`serve::Tls::rustls`, named after it",
  "warp::": "`adapter::warp`",
  "axum::": "`adapter::axum`",
  "axum_core::": "`adapter::axum`",
};

const root = resolve(import.meta.dirname, "..");
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");
const env = { ...process.env, RUSTC_BOOTSTRAP: "1", CARGO_TARGET_DIR: join(target, "public-types") };
const flags = ["rustdoc", "--lib", "--all-features", "--quiet", "--", "-Z", "unstable-options", "--output-format", "json"];
execFileSync("cargo", flags, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
const { index, paths, external_crates: crates } = JSON.parse(
  readFileSync(join(target, "public-types/doc/keywire.json"), "utf8"),
);

/** From each foreign name to the places that have it. @type {Map<string, Set<string>>} */
const found = new Map();
const walk = (value, place) => {
  if (Array.isArray(value)) return value.forEach((item) => walk(item, place));
  if (value === null || typeof value !== "object") return;
  const path = "id" in value && "path" in value ? paths[value.id] : undefined;
  if (path && path.crate_id !== 0) {
    const name = [crates[path.crate_id].name, ...path.path.slice(1)].join("::");
    found.set(name, (found.get(name) ?? new Set()).add(place));
  }
  Object.values(value).forEach((item) => walk(item, place));
};
for (const item of Object.values(index)) {
  // An implementation for all types, such as that of an extension trait, is the other crate's.
  if (item.crate_id !== 0 || item.inner?.impl?.blanket_impl) continue;
  walk(item.inner, `${item.name ?? "impl"} in ${item.span?.filename ?? "?"}`);
}

const own = ["core::", "std::", "alloc::"];
const may = (name) => [...own, ...Object.keys(allowed)].some((start) => name === start || (/[:_]$/.test(start) && name.startsWith(start)));
let faults = 0;
for (const [name, places] of [...found].sort()) {
  if (may(name)) continue;
  faults += 1;
  console.error(`${name} is in the public API: ${[...places].slice(0, 3).join(", ")}`);
}
console.log(`${found.size} foreign names, ${faults} faults`);
process.exitCode = faults ? 1 : 0;
