// What a socket took goes out before the connection ends, in Chromium.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { becomes, launchChromium, wired, within } from './harness.js';
import { OwnServer } from './own_server.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {OwnServer} */
let server;

before(async () => {
  browser = await launchChromium();
  server = await OwnServer.start();
});
after(async () => {
  await browser?.close();
  server?.stop();
});

/** An open page and the server's side of its connection. */
async function opened() {
  const coming = server.next();
  const page = await wired(await browser.newPage(), server.address, {});
  const { raw } = await coming;
  await becomes(page, 'open');
  return { page, raw };
}

test('close sends first what the socket took, however much it is', async () => {
  const { page, raw } = await opened();
  // The server reads nothing until the page has closed.
  raw.socket.pause();
  const left = await page.evaluate(() => {
    const { wire } = /** @type {any} */ (window);
    const { socket } = wire;
    for (let n = 0; n < 64; n += 1) wire.command([n, 'x'.repeat(250_000)]);
    wire.close();
    return socket.bufferedAmount;
  });
  assert.ok(left > 0, 'not all had gone when it closed');
  raw.socket.resume();
  assert.deepEqual(await within(raw.closed, 'the end'), { code: 1000, reason: '' });
  const commands = raw.messages.filter(({ flag }) => flag === 'command');
  assert.deepEqual(commands.map(({ body: [n, { length }] }) => [n, length]), Array.from({ length: 64 }, (_, n) => [n, 250_000]));
});

test('what was sent right before the page is left arrives', async () => {
  const { page, raw } = await opened();
  await page.evaluate(() => {
    /** @type {any} */ (window).wire.command('I go');
    location.href = '/elsewhere';
  });
  await within(raw.closed, 'the end');
  assert.deepEqual(raw.messages.filter(({ flag }) => flag === 'command').map(({ body }) => body), ['I go']);
});
