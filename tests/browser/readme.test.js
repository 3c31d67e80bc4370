// The README as a newcomer reads it: its server runs as it stands, its page shows a push, and so does each script.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { PROGRAM, launchChromium, until, within } from './harness.js';

/** `examples/hello.rs`, which a test in Rust compares with the README. */
const HELLO = join(dirname(PROGRAM), 'hello');

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const scripts = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('node:child_process').ChildProcess} */
let server;
/** Alice's page. */
let url = '';

before(async () => {
  browser = await launchChromium();
  server = spawn(HELLO, ['127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`${HELLO} ended with ${code}`)));
    server.stdout?.once('data', (chunk) => resolve(String(chunk).trim()));
  });
  url = await within(line, 'the server listens');
});
after(async () => {
  server?.kill('SIGKILL');
  await browser?.close();
});

/** Opens a page and collects what it logs, and what is wrong with it. @param {string} key */
async function open(key) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const said = [];
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', async (message) => {
    const values = await Promise.all(message.args().map((arg) => arg.jsonValue()));
    said.push(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
  });
  // That there is no icon is no fault.
  await page.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
  await page.goto(url.replace(/\?.*/, `?${key}`));
  return Object.assign(page, { said, faults });
}

/** @param {import('playwright-core').Page} page @param {string} text */
const shows = (page, text) => page.locator('li', { hasText: text }).first().waitFor({ timeout: 20_000 });

test('its page shows the push of the backend, and what another user writes', async () => {
  const [alice, bob] = [await open('alice'), await open('bob')];
  await shows(alice, 'backend: your build is green');
  // Bob's page may still be on its way in: then alice is told so, and says it once more.
  await until(async () => {
    await alice.fill('[name=text]', 'lunch?');
    await alice.click('button');
    return (await bob.locator('li', { hasText: 'alice: lunch?' }).count()) > 0;
  }, 'bob is asked');
  await shows(alice, 'backend: sent');
  await alice.fill('[name=to]', 'nobody');
  await alice.click('button');
  await shows(alice, 'backend: not connected');
  assert.equal(await bob.locator('li', { hasText: 'build' }).count(), 0, 'it is for alice');
  assert.deepEqual([...alice.faults, ...bob.faults], []);
  await Promise.all([alice.close(), bob.close()]);
});

test('there are scripts in it', () => assert.equal(scripts.length, 2));

for (const [number, script] of scripts.entries()) {
  test(`its script ${number + 1} shows the push, and its message arrives`, async () => {
    const bob = await open('bob');
    const page = await open('someone');
    const type = /^import /m.test(script) ? 'module' : '';
    const run = () => page.addScriptTag({ content: script, type });
    await until(async () => {
      // A script runs once in a page.
      await page.reload();
      await run();
      await until(() => page.said.some((line) => line.includes('your build is green')), 'the push is logged');
      return (await bob.locator('li', { hasText: 'alice: lunch?' }).count()) > 0;
    }, 'bob is asked');
    assert.deepEqual(page.faults, []);
    await Promise.all([bob.close(), page.close()]);
  });
}
