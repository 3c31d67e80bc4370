// The TypeScript that examples/types.rs writes: it is what docs/types.md shows, it fits the client's types, and it fits the pushes.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PROGRAM } from './harness.js';

const here = import.meta.dirname;
const example = join(dirname(PROGRAM), 'types');
const page = readFileSync(join(here, '../../docs/types.md'), 'utf8');
const [shown, use] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);

let room = '';
before(() => {
  room = mkdtempSync(join(tmpdir(), 'keywire-'));
  execFileSync(example, [join(room, 'pushes.ts')]);
  writeFileSync(join(room, 'tsconfig.json'), JSON.stringify({
    extends: join(here, 'tsconfig.json'),
    compilerOptions: { types: [], paths: { keywire: [join(here, '../../client/keywire.d.ts')] } },
    include: [],
    files: ['page.ts'],
  }));
});
after(() => rmSync(room, { recursive: true }));

/** What tsc says about a page. `''`: nothing is wrong. @param {string} code */
function errors(code) {
  writeFileSync(join(room, 'page.ts'), code);
  return spawnSync(join(here, 'node_modules/.bin/tsc'), ['-p', room, '--pretty', 'false'], { encoding: 'utf8' }).stdout;
}

test('the documentation shows the file', () => {
  assert.equal(shown, readFileSync(join(room, 'pushes.ts'), 'utf8'));
});

test('the page of the documentation compiles, and a wrong field or flag does not', () => {
  assert.equal(errors(use), '');
  for (const [right, wrong] of [['data.total', 'data.sum'], ['data.paidAt', 'data.paid_at'], ["'stock-changed'", "'stock'"]]) {
    assert.ok(use.includes(right), right);
    assert.match(errors(use.replace(right, wrong)), /page\.ts\(\d+,\d+\): error TS2/, wrong);
  }
});

test('the pushes of the server have these types', () => {
  const pushes = execFileSync(example, { encoding: 'utf8' }).trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(pushes.map(({ flag }) => flag), ['order', 'stock-changed', 'maintenance']);
  const typed = pushes.map(({ flag, data }) => `{ const data: Pushes['${flag}'] = ${JSON.stringify(data)}; console.log(data); }`);
  const code = ["import type { Pushes } from './pushes';", ...typed].join('\n');
  assert.equal(errors(code), '');
  assert.match(errors(code.replace('"total"', '"sum"')), /error TS2/);
});
