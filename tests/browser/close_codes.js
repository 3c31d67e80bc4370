// The table of close codes in docs/protocol.md: whether a client comes back.

import { readFileSync } from 'node:fs';

const documentation = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

/** The rows of the table: from, to, and whether a client comes back. @type {{ from: number, to: number, returns: boolean }[]} */
export const ROWS = [...documentation.matchAll(/^\| (\d+)(?:–(\d+))? \| (yes|no) \|/gm)].map(([, from, to, returns]) => ({
  from: Number(from),
  to: Number(to ?? from),
  returns: returns === 'yes',
}));

/** @param {number} code */
export const returns = (code) => ROWS.find(({ from, to }) => from <= code && code <= to)?.returns;
