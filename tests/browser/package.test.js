// What is shipped: its size, and what is in the package.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { transform } from 'esbuild';

const root = join(import.meta.dirname, '../..');

test('the client is small: 12.8 KB minified by esbuild, 5.2 KB of that after gzip', async () => {
  const source = readFileSync(join(root, 'client/keywire.js'), 'utf8');
  const { code } = await transform(source, { minify: true, format: 'esm', target: 'es2022' });
  const compressed = gzipSync(code, { level: 9 }).length;
  assert.ok(code.length <= 12_800, `${code.length} bytes minified`);
  assert.ok(compressed <= 5200, `${compressed} bytes compressed`);
});

test('the package has the module, its types and the licences, and the version of the crate', () => {
  const pack = ['pack', '--dry-run', '--json'];
  const listing = execFileSync('npm', pack, { cwd: join(root, 'client'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [{ files, version }] = JSON.parse(listing);
  const names = files.map((/** @type {{ path: string }} */ { path }) => path).sort();
  assert.deepEqual(names, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'keywire.d.ts', 'keywire.js', 'package.json']);
  assert.equal(version, /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1]);
});
