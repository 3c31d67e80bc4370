// Checks `rust-version`: no dependency, of any feature and platform, needs a newer Rust, and all packages of the repository have
// the same value.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const workspaces = [".", "bench/peers", "fuzz"];

/** The dependency graph of the lock file. */
const metadata = (workspace) => {
  const options = ["metadata", "--format-version", "1", "--locked", "--all-features"];
  const manifest = join(root, workspace, "Cargo.toml");
  const maxBuffer = 256 << 20;
  return JSON.parse(execFileSync("cargo", [...options, "--manifest-path", manifest], { encoding: "utf8", maxBuffer }));
};

/** Whether Rust `a` is newer than `b`. */
const newer = (a, b) => {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const at = [0, 1, 2].find((index) => (left[index] ?? 0) !== (right[index] ?? 0));
  return at !== undefined && (left[at] ?? 0) > (right[at] ?? 0);
};

let expected;
let checked = 0;
const faults = new Set();
for (const workspace of workspaces) {
  const { packages } = metadata(workspace);
  const own = packages.filter(({ source }) => source === null);
  expected ??= own.find(({ name }) => name === "keywire").rust_version;
  for (const { name, rust_version: version } of own) {
    if (version !== expected) faults.add(`${name} has rust-version ${version}, keywire has ${expected}`);
  }
  for (const { name, version, rust_version: wanted } of packages) {
    checked += 1;
    if (wanted && newer(wanted, expected)) faults.add(`${name} ${version} needs Rust ${wanted}, rust-version is ${expected}`);
  }
}
for (const fault of faults) console.error(fault);
console.log(`${checked} packages, Rust ${expected}, ${faults.size} faults`);
process.exitCode = faults.size ? 1 : 0;
