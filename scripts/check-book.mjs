// Checks that the book has every page of docs/, each once, and no page that does not exist.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const docs = join(import.meta.dirname, "../docs");
const summary = readFileSync(join(docs, "SUMMARY.md"), "utf8");
const named = [...summary.matchAll(/\]\(([^)]+)\)/g)].map(([, page]) => page);

const files = readdirSync(docs, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".md") && entry.name !== "SUMMARY.md")
  .map((entry) => relative(docs, join(entry.parentPath, entry.name)));

const faults = [
  ...files.filter((page) => !named.includes(page)).map((page) => `not in SUMMARY.md: ${page}`),
  ...named.filter((page) => !existsSync(join(docs, page))).map((page) => `does not exist: ${page}`),
  ...named.filter((page, at) => named.indexOf(page) !== at).map((page) => `named twice: ${page}`),
];
for (const fault of faults) console.error(fault);
console.log(`${named.length} pages, ${faults.length} faults`);
process.exitCode = faults.length ? 1 : 0;
