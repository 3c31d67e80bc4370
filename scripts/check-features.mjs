// Checks the library without features, with each feature alone, with each pair of features that meet in the code, and with all.
// Warnings are errors, so code that is unused with these features is found.
//
// All pairs would be 143 combinations and ten minutes. These are enough: an error of a combination is in code that exists
// in it. Code exists without features, with one, or where features meet: a file names both, or one gates the file and the other is
// named in it. Two features that never meet add nothing to what each is alone. What they break together is broken with all
// features, too. `make release` tries all pairs.
//
//     node scripts/check-features.mjs            check
//     node scripts/check-features.mjs --list     print the combinations
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

process.chdir(join(import.meta.dirname, ".."));
const metadata = JSON.parse(execFileSync("cargo", ["metadata", "--no-deps", "--format-version", "1", "--locked"], { encoding: "utf8" }));
const features = metadata.packages.find(({ name }) => name === "keywire").features;
const names = Object.keys(features).filter((name) => name !== "default");

/** The features that a feature switches on, itself among them. @returns {Set<string>} */
const closure = (name, all = new Set()) => {
  if (name in features && !all.has(name)) {
    all.add(name);
    features[name].forEach((other) => closure(other, all));
  }
  return all;
};

/** The code of a file, without comments and without what is for tests alone: the library does not have it. */
const code = (file) => readFileSync(file, "utf8").replace(/\/\/.*/g, "").replace(/^ *#\[cfg\(all\((doc)?test,.*\n/gm, "");
const named = (text) => [...text.matchAll(/\bfeature = "([^"]+)"/g)].map(([, name]) => name);

/** The features without which a file is no part of the crate: those of its `mod` line, and of the lines of the modules around it. */
const gates = (file) => {
  if (file === "src/lib.rs") return [];
  const directory = dirname(file);
  const module = basename(file, ".rs");
  const [name, home] = module === "mod" ? [basename(directory), dirname(directory)] : [module, directory];
  const parent = [join(home, "lib.rs"), join(home, "mod.rs"), `${home}.rs`].find(existsSync);
  const itself = `(?:#\\[path = "${name}\\.rs"\\]\\n.*mod \\w+|(?:pub(?:\\([^)]*\\))? )?mod ${name});`;
  const line = new RegExp(`^((?:(?:#\\[.*\\])? *\\n)*)${itself}`, "m").exec(code(parent));
  if (!line) throw new Error(`${parent} has no line "mod ${name};" for ${file}`);
  return [...named(line[1]), ...named(/^#!\[cfg.*$/m.exec(code(file))?.[0] ?? ""), ...gates(parent)];
};

const combinations = new Set(["", ...names, names.join()]);
for (const entry of readdirSync("src", { recursive: true }).sort()) {
  if (!entry.endsWith(".rs")) continue;
  const file = join("src", entry);
  const here = [...new Set([...named(code(file)), ...gates(file)])].sort();
  for (const name of here) if (!names.includes(name)) throw new Error(`${file}: Cargo.toml has no feature ${name}`);
  for (const one of here) {
    for (const other of here) {
      // With a feature that the other one brings along, the pair is the other one alone.
      if (one < other && !closure(one).has(other) && !closure(other).has(one)) combinations.add(`${one},${other}`);
    }
  }
}

if (process.argv.includes("--list")) {
  console.log([...combinations].join("\n"));
} else {
  for (const [at, list] of [...combinations].entries()) {
    console.log(`${at + 1} of ${combinations.size}: ${list || "no features"}`);
    const options = ["rustc", "--quiet", "--lib", "--profile", "check", "--no-default-features", "--features", list];
    const { status } = spawnSync("cargo", [...options, "--", "-D", "warnings"], { stdio: ["ignore", "inherit", "inherit"] });
    if (status !== 0) {
      console.error(`the library does not build ${list ? `with these features alone: ${list}` : "without features"}`);
      process.exit(1);
    }
  }
}
