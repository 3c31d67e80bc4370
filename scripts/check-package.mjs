// Checks the files of the crate's package: all that it needs, and nothing else. Its documentation must compile from the package
// alone, and the links of its README must lead to files in the package.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { relativeLinks } from "./markdown.mjs";

process.chdir(join(import.meta.dirname, ".."));
const list = ["package", "--list", "--allow-dirty", "--locked", "--quiet"];
const files = execFileSync("cargo", list, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim().split("\n");

/** The files that users of the crate need. Tests, benchmarks and tools of the repository are not among them. */
const intended = [
  /^Cargo\.(toml|toml\.orig|lock)$/,
  /^\.cargo_vcs_info\.json$/,
  /^(README|CHANGELOG|ARCHITECTURE|CONTRIBUTING|SECURITY)\.md$/,
  /^LICENSE-(APACHE|MIT)$/,
  /^src\/([a-z0-9_]+\/)*[a-z0-9_]+\.rs$/,
  /^examples\/([a-z0-9_]+\/)*[a-z0-9_]+\.(rs|html|css|js|svg)$/,
  /^client\/keywire\.(js|d\.ts)$/,
  /^docs\/([a-z0-9_-]+\/)*[a-z0-9_.-]+\.(md|svg|png|toml|json|yaml)$/i,
];
const required = ["src/lib.rs", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "client/keywire.js"];

const ships = (path) => files.some((file) => file === path || file.startsWith(`${path}/`));
const faults = files.filter((file) => !intended.some((form) => form.test(file))).map((file) => `${file} does not belong there`);
faults.push(...required.filter((file) => !ships(file)).map((file) => `${file} is missing`));

for (const source of files.filter((file) => file.endsWith(".rs"))) {
  for (const [, target] of readFileSync(source, "utf8").matchAll(/\binclude(?:_str|_bytes)?!\("([^"]+)"\)/g)) {
    if (!ships(join(dirname(source), target))) faults.push(`${source} includes ${target}, which is missing`);
  }
}

// A registry resolves relative links of a README against `repository`. In the package itself the files are beside the README.
const links = relativeLinks("README.md").map((link) => decodeURI(link).split("#")[0]).filter(Boolean);
faults.push(...links.filter((link) => !ships(join(link))).map((link) => `README.md: ${link} is missing`));
if (!/^repository = "https:/m.test(readFileSync("Cargo.toml", "utf8"))) {
  console.warn("Cargo.toml has no `repository` yet: set it before a release, or the page of the crate shows dead links");
}

for (const fault of faults) console.error(`package: ${fault}`);
console.log(`${files.length} files, ${faults.length} faults`);
process.exitCode = faults.length ? 1 : 0;
