// docs/your-own.md as a newcomer follows it, from the server of docs/ten-minutes.md: own traits, tests with the kit, then axum.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import { freePort, launchChromium, until } from './harness.js';
import { Reader, blocks } from './tutorial.js';

/** @type {import('playwright-core').Browser | undefined} */
let browser;
/** @type {import('node:child_process').ChildProcess | undefined} */
let server;
after(async () => {
  server?.kill('SIGKILL');
  await browser?.close();
});

test('a crate with traits of its own, its tests, and axum', { timeout: 600_000 }, async (t) => {
  const port = String(await freePort());
  const reader = new Reader('your-own', (text) => text.replaceAll('8090', port));
  const first = blocks('ten-minutes.md');
  const begin = first.slice(0, first.findIndex(({ kind }) => kind === 'diff'));
  const page = blocks('your-own.md');
  const toAxum = page.findIndex(({ text }) => text.startsWith('cargo remove warp'));
  for (const block of [...begin, ...page.slice(0, toAxum)]) reader.follow(block);

  const passed = /test result: ok\. 5 passed; 0 failed/;
  await t.test('its tests pass on warp', async () => assert.match(await reader.cargo('test'), passed));

  for (const block of page.slice(toAxum)) reader.follow(block);
  await t.test('and on axum, unchanged', async () => assert.match(await reader.cargo('test'), passed));

  await t.test('its page works on axum', async () => {
    const program = await reader.build('on-axum');
    let log = '';
    const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
    server = child;
    child.stdout.on('data', (chunk) => (log += chunk));
    await until(() => log.includes('/?alice'), 'the server listens');
    browser = await launchChromium();
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${port}/?alice`);
    await tab.locator('#status', { hasText: 'open' }).waitFor({ timeout: 20_000 });
    const answer = await fetch(`http://127.0.0.1:${port}/notify/alice`, { method: 'POST', body: 'green' });
    assert.equal(await answer.text(), '1 tabs\n');
    await tab.locator('li', { hasText: 'backend: green' }).first().waitFor({ timeout: 20_000 });
    assert.ok(log.includes('session 1'), 'the store of its own is asked');
  });
});
