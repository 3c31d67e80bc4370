// The way back: a server that dies, one that drains, and a user who leaves meanwhile.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import {
  Demo, becomes, connectRaw, feedItem, launchChromium, open, said,
  status, toast, until, wired, within,
} from './harness.js';
import { SECRET, token } from './tokens.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
/** @type {import('playwright-core').BrowserContext} */
let context;

before(async () => {
  browser = await launchChromium();
});
after(() => browser?.close());
beforeEach(async () => {
  demo = await Demo.start();
  context = await browser.newContext();
});
afterEach(async () => {
  await context.close();
  await demo.stop();
});

test('a killed server that comes back finds its clients again, handlers and all', async () => {
  const page = await open(context, demo, 'alice');
  await demo.stop('SIGKILL');
  await status(page, 'waiting');
  await page.locator('#next', { hasText: 'Next attempt' }).waitFor();
  demo = await Demo.start({ port: demo.url.port });
  await status(page, 'open');
  await page.locator('#sessions', { hasText: /^1$/ }).waitFor();
  await demo.post('/push/alice', { code: '00', msg: 'welcome back' });
  await toast(page, 'welcome back');
  await feedItem(page, 'welcome back', 'server');
  assert.equal((await demo.stats()).sessions, 1);
});

test('closing while waiting stays closed', async () => {
  const page = await open(context, demo, 'alice');
  await page.clock.install();
  await page.evaluate(async () => {
    const { Keywire } = await import(/** @type {any} */ ('/keywire.js'));
    const seen = /** @type {string[]} */ ([]);
    const wire = new Keywire('/websocket', { key: 'leaver' });
    wire.addEventListener('status', (/** @type {CustomEvent} */ { detail }) => seen.push(detail.status));
    Object.assign(window, { wire, seen });
    wire.connect();
  });
  await page.waitForFunction(() => /** @type {any} */ (window).wire.status === 'open');
  await demo.stop('SIGKILL');
  await page.waitForFunction(() => /** @type {any} */ (window).wire.status === 'waiting');
  await page.evaluate(() => /** @type {any} */ (window).wire.close());
  demo = await Demo.start({ port: demo.url.port });
  // The browser's clock runs through every delay there could be.
  await page.clock.runFor(120_000);
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await status(page, 'open');
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).seen), ['connecting', 'open', 'waiting', 'closed']);
  assert.deepEqual(await demo.stats(), { sessions: 1, keys: 1 });
});

test('a token that ended meanwhile is not used again: a fresh one is asked for', async () => {
  await demo.stop();
  demo = await Demo.start({ port: demo.url.port, args: ['--jwt-secret', SECRET] });
  const now = () => Date.now() / 1000;
  /** @type {number[]} */
  const ends = [];
  // The first has ended already, the second does so while the server is away.
  const tokens = [() => now() - 3600, () => now() + 3, () => now() + 3600];
  await context.exposeFunction('nextToken', () => {
    ends.push(Math.floor(tokens[Math.min(ends.length, 2)]()));
    return token('alice', Number(ends.at(-1)));
  });
  const page = await wired(context, demo.http('/healthz'), { tokens: true, delay: 1 });
  await becomes(page, 'open');
  assert.equal(ends.length, 2);
  const codes = async () => (await said(page, 'close')).map(({ code }) => code);
  assert.deepEqual(await codes(), [4001]);
  await demo.stop('SIGKILL');
  await until(() => now() > ends[1], 'the token ends');
  demo = await Demo.start({ port: demo.url.port, args: ['--jwt-secret', SECRET] });
  await becomes(page, 'open');
  assert.ok(Number(ends.at(-1)) > now() + 3000);
  assert.ok((await codes()).slice(1).every((code) => code === 1006));
});

test('who is told to stay away stays away, and the page says why', async () => {
  const page = await open(context, demo, 'alice');
  await demo.stop('SIGKILL');
  await status(page, 'waiting');
  // This one takes tokens only.
  demo = await Demo.start({ port: demo.url.port, args: ['--jwt-secret', SECRET] });
  await status(page, 'closed');
  await page.locator('#next', { hasText: 'does not accept this credential' }).waitFor();
  await page.evaluate(() => dispatchEvent(new Event('online')));
  assert.equal(await page.getAttribute('#status', 'data-status'), 'closed');
});

test('SIGTERM tells each client what it understands, and the process is gone in time', async () => {
  const plain = await connectRaw(demo.socket('plain'));
  const ours = await connectRaw(demo.socket('ours'), ['keywire.v1']);
  assert.equal(ours.socket.protocol, 'keywire.v1');
  const page = await open(context, demo, 'page');
  const end = demo.stop('SIGTERM');
  assert.equal((/** @type {any} */ (await within(plain.closed, 'plain closes'))).code, 1001);
  const { code, reason } = /** @type {any} */ (await within(ours.closed, 'ours closes'));
  assert.equal(code, 4005);
  assert.match(reason, /^\d+$/);
  assert.deepEqual(await within(end, 'the process ends', 5000), { code: 0, signal: null });
  await status(page, 'waiting');
  demo = await Demo.start({ port: demo.url.port });
  await status(page, 'open');
});

test('a drained server is returned to within the window that it named', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'alice', delay: 3_600_000 });
  await becomes(page, 'open');
  await demo.stop('SIGTERM');
  await becomes(page, 'waiting');
  const [end] = await said(page, 'close');
  const waiting = (await said(page, 'status')).find(({ status }) => status === 'waiting');
  assert.deepEqual([end.code, end.final], [4005, false]);
  assert.ok(Number(end.reason) > 0);
  assert.ok(waiting.delay <= Number(end.reason));
  demo = await Demo.start({ port: demo.url.port });
  // An attempt that came too early is followed by the hour that was chosen above.
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await becomes(page, 'open');
});
