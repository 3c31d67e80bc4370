// Do the links of the documents lead somewhere? Checks every relative link, and every #heading, in the *.md files
// that git knows of or would add. Links to other sites are not followed.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "..");
const list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"];
const documents = execFileSync("git", list, { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean);

/** The prose of a document, without its code. */
const prose = (file) => readFileSync(file, "utf8").replace(/^( *)(```+|~~~+)[^]*?^ *\2/gm, "");

/** The names that headings get as link targets: lower case, no punctuation, dashes for spaces. */
const headings = (file) =>
  [...prose(file).matchAll(/^#+ +(.*?) *#*$/gm)].map(([, heading]) =>
    heading.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-"),
  );

const links = (file) => {
  const text = prose(file).replace(/`[^`\n]*`/g, "``");
  const forms = [/\]\(<?([^)\s>]+)/g, /^ *\[[^\]^]+\]: *(\S+)/gm, /\b(?:src|href)="([^"]+)"/g];
  return forms.flatMap((form) => [...text.matchAll(form)].map(([, target]) => target));
};

let broken = 0;
for (const document of documents.filter((name) => existsSync(join(root, name)))) {
  const file = join(root, document);
  for (const link of links(file).filter((target) => !/^([a-z]+:|\/\/)/i.test(target))) {
    const [path, heading] = decodeURI(link).split("#");
    const target = path ? join(dirname(file), path) : file;
    const found = existsSync(target) && !relative(root, target).startsWith("..");
    const named = !heading || !found || !target.endsWith(".md") || headings(target).includes(heading);
    if (found && named) continue;
    console.error(`${document}: ${link} leads nowhere`);
    broken += 1;
  }
}
console.log(`${documents.length} documents, ${broken} broken links`);
process.exitCode = broken ? 1 : 0;
