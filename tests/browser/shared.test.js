// One connection for all tabs.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import {
  Demo, becomes, connectRaw, got, heard, hears, launchChromium,
  path, said, until, wired, within,
} from './harness.js';

/** @typedef {import('playwright-core').Page} Page */

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

/** @param {object} [options] */
const tab = async (options) => {
  const page = await wired(context, demo.http('/healthz'), { key: 'alice', shared: true, ...options });
  await becomes(page, 'open');
  return page;
};

/** @param {number} n */
const sessions = (n) => until(async () => (await demo.stats()).sessions === n, `${n} sessions`);

/** @param {Page} page */
const leads = (page) => page.evaluate(() => /** @type {any} */ (window).wire.socket !== null);

/** The one that has the socket first. @param {Page[]} pages */
async function sorted(pages) {
  const leading = await Promise.all(pages.map(leads));
  assert.equal(leading.filter(Boolean).length, 1, 'one leads');
  return [...pages.filter((_, i) => leading[i]), ...pages.filter((_, i) => !leading[i])];
}

/** The process of the page is gone, without a word. @param {Page} page */
async function crash(page) {
  const crashed = new Promise((resolve) => page.once('crash', resolve));
  const cdp = await context.newCDPSession(page);
  cdp.send('Page.crash').catch(() => {});
  await within(crashed, 'the tab crashes');
}

/**
 * Calls a method of its client.
 * @param {Page} page @param {'request' | 'inform' | 'close' | 'connect'} method @param {...unknown} args
 */
const call = (page, method, ...args) =>
  page.evaluate(([method, args]) => /** @type {any} */ (window).wire[String(method)](.../** @type {any[]} */ (args)), [method, args]);

/** Begins a request that has the `outcome`. @param {Page} page @param {unknown} body @param {object} [options] */
const begin = (page, body, options) =>
  page.evaluate(([body, options]) => {
    const it = /** @type {any} */ (window);
    const rejected = (/** @type {Error} */ error) => `rejected: ${error.message}`;
    it.outcome = it.wire.request(body, options).then((/** @type {any} */ push) => push.msg, rejected);
  }, [body, options]);

/** @param {Page} page @returns {Promise<string>} */
const outcome = (page) => page.evaluate(() => /** @type {any} */ (window).outcome);

test('tabs share one session, and each hears each message once', async () => {
  const pages = [await tab(), await tab(), await tab()];
  await sessions(1);
  const [, second] = await sorted(pages);
  await demo.post('/push/alice', { msg: 'to all tabs' });
  for (const page of pages) await hears(page, 'to all tabs');
  for (const page of pages) await call(page, 'inform', 'alice', 'from a tab');
  for (const page of pages) {
    await until(async () => (await heard(page)).length === 4, 'three more');
    assert.deepEqual(await heard(page), ['to all tabs', 'from a tab', 'from a tab', 'from a tab']);
  }
  // A reply goes to who asked, and to nobody else.
  assert.equal((await call(second, 'request', 'psst', { flag: 'inform', reception: 'nobody' })).code, '45');
  await demo.post('/push/alice', { msg: 'the end' });
  for (const page of pages) {
    await hears(page, 'the end');
    assert.equal((await heard(page)).length, page === second ? 6 : 5);
  }
});

test('a tab that closes hands over, and what was not taken yet is sent by the next, once', async () => {
  const sink = await connectRaw(demo.socket('sink'));
  const TOTAL = 300;
  // A machine that is busy takes long to hand over, and the queue must hold all that is said meanwhile.
  const queue = TOTAL;
  const [first, second, third] = await sorted([await tab({ queue }), await tab({ queue }), await tab({ queue })]);
  // One after the other, while the leader goes.
  await second.evaluate((total) => {
    const wire = /** @type {any} */ (window).wire;
    let n = 0;
    const next = () => {
      for (let i = 0; i < 3; i += 1) wire.inform('sink', (n += 1));
      if (n < total) setTimeout(next);
    };
    next();
  }, TOTAL);
  await sink.next(({ data }) => data >= 20);
  await first.close();
  await sink.next(({ data }) => data === TOTAL);
  // In order, none twice. What the closing tab took may be lost with it, and nothing else: one gap at most, where it closed.
  const steps = sink.messages.map(({ data }, i, all) => data - (all[i - 1]?.data ?? 0));
  assert.ok(steps.every((step) => step >= 1), 'in order and none twice');
  assert.ok(steps.filter((step) => step > 1).length <= 1, `one gap at most: ${steps}`);
  await sessions(2);
  const [leader, follower] = await sorted([second, third]);
  await demo.post('/push/alice', { msg: 'still here' });
  for (const page of [leader, follower]) await hears(page, 'still here');
  // By choice it is the same.
  await call(leader, 'close');
  await until(() => leads(follower), 'the last one leads');
  await becomes(follower, 'open');
  await sessions(2);
  assert.equal((await path(leader)).at(-1), 'closed');
});

test('a tab that crashes is followed by another, and a request that it took is settled', async () => {
  const [first, second, third] = await sorted([await tab(), await tab(), await tab()]);
  await demo.freeze();
  const sent = first.evaluate(() => new Promise((resolve) => (WebSocket.prototype.send = resolve)));
  await begin(second, 'lost', { flag: 'inform', reception: 'alice', timeout: 60_000 });
  assert.match(String(await sent), /lost/);
  await crash(first);
  assert.equal(await outcome(second), 'rejected: the connection ended');
  demo.child.kill('SIGCONT');
  for (const page of [second, third]) await becomes(page, 'open');
  await sessions(1);
  await sorted([second, third]);
  await demo.post('/push/alice', { msg: 'after the crash' });
  for (const page of [second, third]) await hears(page, 'after the crash');
  assert.deepEqual(await path(second), ['connecting', 'open', 'waiting', 'connecting', 'open']);
});

test('what a tab has heard all have heard, though it dies of it', async () => {
  const [first, second] = await sorted([await tab(), await tab()]);
  const crashed = new Promise((resolve) => first.once('crash', resolve));
  const cdp = await context.newCDPSession(first);
  await first.exposeFunction('die', () => void cdp.send('Page.crash').catch(() => {}));
  await first.evaluate(() => {
    const it = /** @type {any} */ (window);
    it.wire.on('*', (/** @type {any} */ { data }) => {
      if (data !== 200) return;
      it.die();
      for (;;);
    });
  });
  for (let data = 1; data <= 200; data += 1) await demo.post('/push/alice', { data });
  await within(crashed, 'the tab crashes');
  await becomes(second, 'open');
  assert.deepEqual((await got(second)).map(({ data }) => data), Array.from({ length: 200 }, (_, i) => i + 1));
});

test('all tabs come back together, and all stay away when they are told to', async () => {
  const pages = await sorted([await tab({ delay: 1 }), await tab({ delay: 1 })]);
  await demo.stop('SIGKILL');
  for (const page of pages) await until(async () => (await said(page, 'close')).length > 0, 'the end is noticed');
  await call(pages[1], 'inform', 'alice', 'from the queue');
  demo = await Demo.start({ port: demo.url.port });
  for (const page of pages) await hears(page, 'from the queue');
  await sessions(1);
  await demo.stop('SIGKILL');
  // A server that knows no raw keys: 4501.
  demo = await Demo.start({ port: demo.url.port, args: ['--jwt-secret', 'a secret that is long enough for HS256'] });
  for (const page of pages) {
    await becomes(page, 'closed');
    const { code, final } = (await said(page, 'close')).at(-1);
    assert.deepEqual([code, final], [4501, true]);
    assert.equal((await path(page)).filter((status) => status === 'closed').length, 1);
  }
});

test('a message that a tab sends over a connection that is gone, unknown to it, is sent once', async () => {
  const [, second] = await sorted([await tab({ delay: 1 }), await tab({ delay: 1 })]);
  // Sees and hears nothing until there are two sessions; what it sends then is meant for the connection that it knew.
  const blocked = second.evaluate(() => {
    for (let sessions = 0; sessions !== 2; ) {
      const request = new XMLHttpRequest();
      request.open('GET', '/stats', false);
      try {
        request.send();
        ({ sessions } = JSON.parse(request.responseText));
      } catch { /* The server is away. */ }
    }
    /** @type {any} */ (window).wire.inform('sink', 'once');
  });
  await demo.stop('SIGKILL');
  demo = await Demo.start({ port: demo.url.port });
  await sessions(1);
  const sink = await connectRaw(demo.socket('sink'));
  await blocked;
  await sink.next(({ msg }) => msg === 'once');
  await becomes(second, 'open');
  await call(second, 'inform', 'sink', 'the end');
  await sink.next(({ msg }) => msg === 'the end');
  assert.deepEqual(sink.messages.map(({ msg }) => msg), ['once', 'the end']);
});

test('a waiting tab that is told to connect has its leader do so', async () => {
  const [first, second] = await sorted([await tab({ delay: 3_600_000 }), await tab({ delay: 3_600_000 })]);
  await demo.stop('SIGKILL');
  await becomes(second, 'waiting');
  demo = await Demo.start({ port: demo.url.port });
  const third = await wired(context, demo.http('/healthz'), { key: 'alice', shared: true, delay: 3_600_000 });
  await becomes(third, 'waiting');
  await call(second, 'connect');
  for (const page of [first, second, third]) await becomes(page, 'open');
  assert.equal(await leads(first), true);
});

test('a leader that hangs is replaced, and follows when it is back', async () => {
  const [first, second] = await sorted([await tab({ heartbeat: 300, pong: 300 }), await tab({ heartbeat: 300, pong: 300 })]);
  const cdp = await context.newCDPSession(first);
  await cdp.send('Debugger.enable');
  const paused = new Promise((resolve) => cdp.once('Debugger.paused', resolve));
  await cdp.send('Debugger.pause');
  first.evaluate(() => 1).catch(() => {});
  await within(paused, 'the leader hangs');
  await until(() => leads(second), 'the other takes over');
  await becomes(second, 'open');
  await cdp.send('Debugger.disable');
  await until(async () => !(await leads(first)), 'it leads no more');
  await becomes(first, 'open');
  await sessions(1);
  await demo.post('/push/alice', { msg: 'to both' });
  for (const page of [first, second]) {
    await hears(page, 'to both');
    assert.deepEqual(await heard(page), ['to both']);
  }
});

test('a leader that is frozen lets go', async () => {
  const [first, second] = await sorted([await tab(), await tab()]);
  // Chromium freezes no page that can be seen, and without a window all can be.
  await first.evaluate(() => document.dispatchEvent(new Event('freeze')));
  await until(() => leads(second), 'the other takes over');
  await becomes(second, 'open');
  await sessions(1);
  await first.evaluate(() => document.dispatchEvent(new Event('resume')));
  await becomes(first, 'open');
  assert.deepEqual([await leads(first), await leads(second)], [false, true]);
  await sessions(1);
});

test('names keep tabs apart, and where there are no locks each tab is alone', async () => {
  await tab({ shared: 'one' });
  await tab({ shared: 'two' });
  await tab({ shared: 'two' });
  await sessions(2);
  await context.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'locks'));
  for (const expected of [3, 4]) {
    const page = await tab();
    await sessions(expected);
    assert.deepEqual(await path(page), ['connecting', 'open']);
  }
});

/** Sends, closes in the same breath, and tells what the close event says. @param {Page} page @param {string} text */
const sendAndClose = (page, text) =>
  page.evaluate((text) => {
    const { wire } = /** @type {any} */ (window);
    const closed = new Promise((resolve) => wire.addEventListener('close', (/** @type {CustomEvent} */ { detail }) => resolve(detail)));
    wire.inform('sink', text);
    wire.close();
    return Promise.all([wire.status, closed]);
  }, text);

test('what a tab sends right before it closes is sent once, whichever tab it is', async () => {
  const sink = await connectRaw(demo.socket('sink'));
  const [first, second] = await sorted([await tab(), await tab()]);
  const end = ['closed', { code: 1000, reason: '', final: true }];
  assert.deepEqual(await sendAndClose(second, 'from the one that follows'), end);
  assert.deepEqual(await sendAndClose(first, 'from the one that leads'), end);
  await sink.next(({ msg }) => msg === 'from the one that leads');
  assert.deepEqual(sink.messages.map(({ msg }) => msg), ['from the one that follows', 'from the one that leads']);
});

test('what the leading tab does not take is reported by the one that closes', async () => {
  const [first, second] = await sorted([await tab(), await tab()]);
  const cdp = await context.newCDPSession(first);
  await cdp.send('Debugger.enable');
  const paused = new Promise((resolve) => cdp.once('Debugger.paused', resolve));
  await cdp.send('Debugger.pause');
  first.evaluate(() => 1).catch(() => {});
  await within(paused, 'the leader hangs');
  const unsent = [{ flag: 'inform', reception: 'sink', body: 'nobody takes it' }];
  assert.deepEqual(await sendAndClose(second, 'nobody takes it'), ['closed', { code: 1000, reason: '', final: true, unsent }]);
  await cdp.send('Debugger.disable');
});
