// Markdown parsing for the checks.
import { readFileSync } from "node:fs";

/** The prose of a document, without its code. */
const prose = (file) => readFileSync(file, "utf8").replace(/^( *)(```+|~~~+)[^]*?^ *\2/gm, "");

/** The link targets of headings: lower case, no punctuation, dashes for spaces. */
export const headings = (file) =>
  [...prose(file).matchAll(/^#+ +(.*?) *#*$/gm)].map(([, heading]) =>
    heading.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-"),
  );

/** The links within the repository. */
export const relativeLinks = (file) => {
  const text = prose(file).replace(/`[^`\n]*`/g, "``");
  const forms = [/\]\(<?([^)\s>]+)/g, /^ *\[[^\]^]+\]: *(\S+)/gm, /\b(?:src|href)="([^"]+)"/g];
  const targets = forms.flatMap((form) => [...text.matchAll(form)].map(([, target]) => target));
  return targets.filter((target) => !/^([a-z]+:|\/\/)/i.test(target));
};
