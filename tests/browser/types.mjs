// Generates client/keywire.d.ts, the types of the npm package, from the JSDoc of client/keywire.js.
// With --check it only compares.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const client = join(import.meta.dirname, '../../client');
const [made, kept] = [mkdtempSync(join(tmpdir(), 'keywire-')), join(client, 'keywire.d.ts')];
const flags = '--ignoreConfig --allowJs --declaration --emitDeclarationOnly --strict --target es2023 --lib es2023,dom,dom.iterable';
try {
  const tsc = join(import.meta.dirname, 'node_modules/.bin/tsc');
  execFileSync(tsc, [join(client, 'keywire.js'), ...flags.split(' '), '--outDir', made], { stdio: 'inherit' });
  // TypeScript exports every typedef of a module. These are internal.
  const own = /^(\/\*\*(?:(?!\*\/)[^])*\*\/\n)?export type (Letter|State|Note|Tabs|Timer|Report) = [^]*?;\n(?=export |\/\*\*)/gm;
  const types = readFileSync(join(made, 'keywire.d.ts'), 'utf8').replace(own, '');
  if (!process.argv.includes('--check')) writeFileSync(kept, types);
  else if (readFileSync(kept, 'utf8') !== types) {
    console.error('client/keywire.d.ts is not what client/keywire.js says: npm run types --prefix tests/browser');
    process.exitCode = 1;
  }
} finally {
  rmSync(made, { recursive: true });
}
