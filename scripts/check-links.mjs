// Checks every relative link, and every #heading, in the *.md files, except in node_modules and target. Links to other sites are
// not followed.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { headings, relativeLinks } from "./markdown.mjs";

const root = join(import.meta.dirname, "..");

/** The *.md files of a directory. Works without git, on a copy of the repository too. */
const documentsIn = (directory) =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (["node_modules", "target", ".git"].includes(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return documentsIn(path);
    return entry.name.endsWith(".md") ? [relative(root, path)] : [];
  });
const documents = documentsIn(root);

let broken = 0;
for (const document of documents) {
  const file = join(root, document);
  for (const link of relativeLinks(file)) {
    const [path, heading] = decodeURI(link).split("#");
    const target = path ? join(dirname(file), path) : file;
    const found = existsSync(target) && !relative(root, target).startsWith("..");
    const named = !heading || !found || !target.endsWith(".md") || headings(target).includes(heading);
    if (found && named) continue;
    console.error(`${document}: broken link ${link}`);
    broken += 1;
  }
}
console.log(`${documents.length} documents, ${broken} broken links`);
process.exitCode = broken ? 1 : 0;
