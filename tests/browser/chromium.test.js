// Which browser the tests open.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { chromiumPath } from './chromium.js';

const directory = mkdtempSync(join(tmpdir(), 'keywire-chromium-'));
after(() => rmSync(directory, { recursive: true }));
const PATH = ['/nowhere', directory].join(delimiter);

/** @param {string} name @param {number} status */
const program = (name, status) => writeFileSync(join(directory, name), `#!/bin/sh\nexit ${status}\n`, { mode: 0o755 });

test('the first browser of the list that runs is taken, wherever PATH has it', () => {
  assert.throws(() => chromiumPath({ PATH }), /scripts\/setup test/);
  program('google-chrome-stable', 0);
  assert.equal(chromiumPath({ PATH }), join(directory, 'google-chrome-stable'));
  // As Ubuntu has it: a launcher that asks for a snap.
  program('chromium-browser', 1);
  assert.equal(chromiumPath({ PATH }), join(directory, 'google-chrome-stable'));
  program('chromium', 0);
  assert.equal(chromiumPath({ PATH }), join(directory, 'chromium'));
  program('mine', 0);
  assert.equal(chromiumPath({ PATH, CHROMIUM: 'mine' }), join(directory, 'mine'));
  assert.equal(chromiumPath({ PATH, CHROMIUM: join(directory, 'mine') }), join(directory, 'mine'));
  assert.throws(() => chromiumPath({ PATH, CHROMIUM: 'missing' }), /no Chromium/);
});
