// Kept pushes in a browser: the server killed, the page away, reloaded, duplicated, kept for the way back, in many tabs.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, becomes, connectRaw, got, heard, hears, launchChromium, open, said, status, until, wired, within } from './harness.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {string} */
let directory;
/** @type {string[]} */
let args;

before(async () => {
  browser = await launchChromium({ cache: true });
});
after(() => browser?.close());
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keywire-'));
  args = ['--log', join(directory, 'log.db')];
  demo = await Demo.start({ args });
  context = await browser.newContext();
});
afterEach(async () => {
  await context.close();
  await demo.stop();
  rmSync(directory, { recursive: true });
});

/** The server is killed and starts again, perhaps after something else happened. */
async function killed(meanwhile = async () => {}) {
  const { port } = demo.url;
  await demo.stop('SIGKILL');
  await meanwhile();
  demo = await Demo.start({ port, args });
}

/** @param {string} msg @param {object} [more] */
async function keep(msg, more) {
  const answer = await demo.post('/push/alice', { msg, keep: true, ...more });
  return { status: answer.status, ...(await answer.json()) };
}

/** @param {Page} page @param {string[]} expected */
const hearsJust = async (page, expected) => {
  await hears(page, /** @type {string} */ (expected.at(-1)));
  assert.deepEqual(await heard(page), expected);
};

/** @param {object} [options] */
const follower = (options) => wired(context, demo.http('/healthz'), { key: 'alice', follow: 'now', delay: 100, ...options });

test('a push to somebody offline outlives a killed server, and is there once on every device', async () => {
  assert.deepEqual((await keep('paid', { once: 'order-17' })).kept.state, 'at');
  await killed();
  assert.deepEqual((await keep('paid', { once: 'order-17' })).kept.state, 'again');
  for (const device of [context, await browser.newContext()]) {
    const page = await open(device, demo, 'alice');
    await page.locator('#kept li', { hasText: 'paid' }).waitFor();
    await page.locator('#inbox-state', { hasText: '1 message while you were offline' }).waitFor();
    assert.equal(await page.locator('#kept li').count(), 1);
    assert.deepEqual(page.faults, []);
  }
});

test('a plain client follows by docs/protocol.md alone', async () => {
  const { kept } = await keep('first');
  const raw = await connectRaw(demo.socket('alice'), ['keywire.v1', 'from.keywire.unread']);
  const word = await raw.next(({ flag }) => flag === 'kw:from');
  assert.deepEqual(word.data, { at: '0.0000000000000000', to: kept.at, gap: null });
  const push = await raw.next(({ at }) => at !== undefined);
  assert.deepEqual([push.msg, push.at, typeof push.time], ['first', kept.at, 'number']);
  raw.send({ flag: 'kw:seen', body: push.at, id: 1 });
  await raw.next(({ id }) => id === 1);
  await raw.close();
  const again = await connectRaw(demo.socket('alice'), ['keywire.v1', `from.keywire.${push.at}`]);
  assert.equal((await again.next(({ flag }) => flag === 'kw:from')).data.at, push.at);
  await again.close();
});

test('the inbox shows what came while the line was cut, and what was read is gone after a reload', async () => {
  const page = await open(context, demo, 'alice');
  await keep('live');
  await page.locator('#kept li', { hasText: 'live' }).waitFor();
  await page.click('#cut');
  await status(page, 'closed');
  for (const msg of ['one', 'two', 'three']) await keep(msg);
  await status(page, 'open');
  await page.locator('#inbox-state', { hasText: '3 messages while you were offline' }).waitFor();
  assert.deepEqual(await page.locator('#kept .text').allTextContents(), ['three', 'two', 'one', 'live']);
  await page.click('#seen');
  await keep('unread');
  await page.reload();
  await page.locator('#kept li', { hasText: 'unread' }).waitFor();
  assert.deepEqual(await page.locator('#kept .text').allTextContents(), ['unread']);
  assert.deepEqual(page.faults, []);
});

test('a page goes on where it was when its server was killed', async () => {
  const page = await follower();
  await becomes(page, 'open');
  await keep('before');
  await hears(page, 'before');
  await killed();
  await keep('after');
  await hearsJust(page, ['before', 'after']);
});

test('a reload goes on where the page was, and so does a duplicated tab', async () => {
  const page = await follower({ resume: 'reload' });
  await becomes(page, 'open');
  await keep('before');
  await hears(page, 'before');
  // What a duplicated tab copies.
  const copied = await page.evaluate(() => Object.entries(sessionStorage));
  await page.goto('about:blank');
  await keep('away');
  await wired(page, demo.http('/healthz'), { key: 'alice', follow: 'now', resume: 'reload' });
  await hearsJust(page, ['away']);
  const twin = await context.newPage();
  await twin.goto(demo.http('/healthz'));
  await twin.evaluate((copied) => copied.forEach(([name, value]) => sessionStorage.setItem(name, value)), copied);
  await wired(twin, demo.http('/healthz'), { key: 'alice', follow: 'now', resume: 'reload' });
  await hearsJust(twin, ['away']);
  await keep('live');
  await hearsJust(page, ['away', 'live']);
  await hearsJust(twin, ['away', 'live']);
});

test('a page that is left and come back to, or frozen, has missed nothing', async () => {
  const page = await follower();
  await becomes(page, 'open');
  // Chromium decides for itself which pages it keeps for the way back, so a kept one's events are made here.
  const turn = (/** @type {string} */ type) =>
    page.evaluate((type) => window.dispatchEvent(new PageTransitionEvent(type, { persisted: true })), type);
  await turn('pagehide');
  await until(async () => (await demo.stats()).sessions === 0, 'the page has left');
  await keep('left');
  await turn('pageshow');
  await hearsJust(page, ['left']);
  await page.evaluate(() => window.dispatchEvent(new Event('freeze')));
  await keep('frozen');
  await page.evaluate(() => window.dispatchEvent(new Event('resume')));
  await hearsJust(page, ['left', 'frozen']);
});

test('tabs that share a connection hear each kept push once, also when the one that leads is gone', async () => {
  const pages = [];
  for (let n = 0; n < 3; n += 1) {
    pages.push(await follower({ shared: true }));
    await becomes(pages[n], 'open');
  }
  await keep('one');
  for (const page of pages) await hears(page, 'one');
  const leads = await Promise.all(pages.map((page) => page.evaluate(() => /** @type {any} */ (window).wire.socket !== null)));
  const leader = pages[leads.indexOf(true)];
  const others = pages.filter((page) => page !== leader);
  const crashed = new Promise((resolve) => leader.once('crash', resolve));
  const cdp = await context.newCDPSession(leader);
  cdp.send('Page.crash').catch(() => {});
  await within(crashed, 'the tab crashes');
  await keep('two');
  await keep('three');
  for (const page of others) await hearsJust(page, ['one', 'two', 'three']);
  // A tab that comes later, with an older position, reads what it has missed by itself.
  const [first] = await got(others[0]);
  const late = await follower({ shared: true, follow: first.at });
  await hearsJust(late, ['two', 'three']);
  await keep('four');
  for (const page of [...others, late]) await hears(page, 'four');
  await until(async () => (await demo.stats()).sessions === 1, 'one session');
});

test('a tab that has only listened goes on where it was when it leads', async () => {
  const leader = await follower({ shared: true, delay: 600_000 });
  await becomes(leader, 'open');
  const other = await follower({ shared: true, delay: 600_000 });
  await becomes(other, 'open');
  await killed(async () => {
    await leader.close();
    // It leads now, and there is no server.
    await until(async () => (await said(other, 'error')).length > 0, 'an attempt fails');
  });
  await keep('away');
  await other.evaluate(() => /** @type {any} */ (window).wire.connect());
  await hearsJust(other, ['away']);
});

test('a log that was emptied is a gap', async () => {
  const page = await follower();
  await becomes(page, 'open');
  await page.evaluate(() => {
    const it = /** @type {any} */ (window);
    it.gaps = [];
    it.wire.addEventListener('gap', (/** @type {any} */ { detail }) => it.gaps.push(detail.why));
  });
  await keep('before');
  await hears(page, 'before');
  await killed(async () => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(directory, `log.db${suffix}`), { force: true });
  });
  await until(async () => (await page.evaluate(() => /** @type {any} */ (window).gaps)).join() === 'reset', 'the gap is told');
  await keep('after');
  await hearsJust(page, ['before', 'after']);
});

test('a page is told at once that nothing was kept', async () => {
  await demo.stop();
  demo = await Demo.start();
  const { kept } = await keep('lost');
  assert.deepEqual(kept, { state: 'no' });
  assert.equal(await (await fetch(demo.http('/config'))).json().then(({ log }) => log), false);
  const refused = await Demo.start({ args: ['--log', directory] }).catch((error) => error);
  assert.match(String(refused), /ended with 1/);
});
