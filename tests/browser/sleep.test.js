// What a browser does to its pages: offline, frozen, left and come back to, reloaded, twice.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, becomes, heard, hears, launchChromium, open as openPage, path, status, until, wired } from './harness.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
/** @type {import('playwright-core').BrowserContext} */
let context;

before(async () => {
  browser = await launchChromium({ cache: true });
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

/** Longer than any test: what comes back before has not waited. */
const NEVER = 3_600_000;

/** @param {number} n */
const sessions = (n) => until(async () => (await demo.stats()).sessions === n, `${n} sessions`);

test('online ends the waiting', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'alice', delay: NEVER });
  await becomes(page, 'open');
  await demo.stop('SIGKILL');
  await becomes(page, 'waiting');
  await context.setOffline(true);
  demo = await Demo.start({ port: demo.url.port });
  assert.equal((await demo.stats()).sessions, 0);
  await context.setOffline(false);
  await becomes(page, 'open');
  assert.deepEqual(await path(page), ['connecting', 'open', 'waiting', 'connecting', 'open']);
});

test('a line that is dead is noticed when the browser says offline', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'alice', pong: 300, delay: NEVER });
  await becomes(page, 'open');
  await context.setOffline(true);
  await becomes(page, 'waiting');
  await context.setOffline(false);
  await becomes(page, 'open');
  await sessions(1);
});

/** Stops all processes of the browser that a page and its socket need, as a laptop does whose lid is closed. */
async function lid() {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send('SystemInfo.getProcessInfo');
  const ids = (/** @type {RegExp} */ which) => processInfo.filter(({ type }) => which.test(type)).map(({ id }) => id);
  const [pages, network] = [ids(/renderer/i), ids(/network/i)];
  assert.ok(pages.length > 0 && network.length > 0);
  /** @param {number[]} ids @param {NodeJS.Signals} signal */
  const all = (ids, signal) => ids.forEach((id) => process.kill(id, signal));
  return {
    close: () => all([...pages, ...network], 'SIGSTOP'),
    /** The page is awake before its network is. @param {import('playwright-core').Page} page */
    async open(page) {
      all(pages, 'SIGCONT');
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
      all(network, 'SIGCONT');
    },
  };
}

test('a page that slept gets what came meanwhile, over the socket that it had', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'sleeper', heartbeat: 500, pong: 1000 });
  await becomes(page, 'open');
  const { close, open } = await lid();
  // It falls asleep with a question on its way.
  await demo.freeze();
  await page.evaluate(() => new Promise((resolve) => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      send.call(this, text);
      resolve(text);
    };
  }));
  close();
  demo.child.kill('SIGCONT');
  for (const msg of ['one', 'two', 'three']) await demo.post('/push/sleeper', { msg });
  // Long enough for each of its timers to be late.
  const late = Date.now() + 2500;
  await until(() => Date.now() > late, 'time passes');
  await open(page);
  await hears(page, 'three');
  assert.deepEqual(await heard(page), ['one', 'two', 'three']);
  await page.evaluate(() => /** @type {any} */ (window).wire.request(null, { flag: 'kw:ping' }));
  assert.deepEqual(await path(page), ['connecting', 'open']);
});

test('a page whose server died while it slept comes back when it wakes, handlers and all', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'sleeper', delay: 1 });
  await becomes(page, 'open');
  const { close, open } = await lid();
  close();
  await demo.stop('SIGKILL');
  demo = await Demo.start({ port: demo.url.port });
  assert.equal((await demo.stats()).sessions, 0);
  await open(page);
  await sessions(1);
  await becomes(page, 'open');
  await demo.post('/push/sleeper', { msg: 'good morning' });
  await hears(page, 'good morning');
});

test('a page that is left gives its session up, and has one again when somebody goes back to it', async () => {
  const page = await wired(context, demo.http('/healthz'), { key: 'wanderer' });
  await becomes(page, 'open');
  await page.goto(demo.http('/config'));
  await sessions(0);
  await page.evaluate(() => history.back()).catch(() => {}); // the page that asks may be gone before it is answered
  // The same page, not a new one, or there would be no client.
  await becomes(page, 'open');
  await sessions(1);
  assert.deepEqual(await path(page), ['connecting', 'open', 'waiting', 'connecting', 'open']);
  await demo.post('/push/wanderer', { msg: 'still here' });
  await hears(page, 'still here');
});

test('a reload leaves no session behind', async () => {
  const page = await openPage(context, demo, 'alice');
  for (let i = 0; i < 3; i += 1) {
    await page.reload();
    await status(page, 'open');
    await sessions(1);
  }
});

test('two tabs have a session each', async () => {
  const [one, two] = await Promise.all([0, 1].map(() => wired(context, demo.http('/healthz'), { key: 'alice' })));
  await Promise.all([one, two].map((page) => becomes(page, 'open')));
  await sessions(2);
  await demo.post('/push/alice', { msg: 'to both' });
  for (const page of [one, two]) await hears(page, 'to both');
  await one.close();
  await sessions(1);
  await demo.post('/push/alice', { msg: 'to the other' });
  await hears(two, 'to the other');
});
