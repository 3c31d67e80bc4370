// Requests of the server to tabs that share one connection: in Chromium, with a server of our own.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { becomes, got, launchChromium, until, wired } from './harness.js';
import { OwnServer } from './own_server.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {OwnServer} */
let server;
let lastId = 0;

before(async () => {
  browser = await launchChromium();
  server = await OwnServer.start();
});
after(async () => {
  await browser?.close();
  server?.stop();
});
beforeEach(async () => {
  context = await browser.newContext();
});
afterEach(() => context.close());

/** The leader, a tab that follows it, and the leader's connection. */
async function tabs() {
  const coming = server.next();
  const leader = await wired(context, server.address, { shared: true });
  const { raw } = await coming;
  await becomes(leader, 'open');
  const follower = await wired(context, server.address, { shared: true });
  await becomes(follower, 'open');
  return { raw, leader, follower };
}

/** Adds a handler that answers with `name` and counts its calls. @param {Page} page @param {string} name */
const handle = (page, name) =>
  page.evaluate((name) => {
    const it = /** @type {any} */ (window);
    it.calls = 0;
    it.wire.answer('who', () => {
      it.calls += 1;
      return name;
    });
  }, name);

/** @param {Page} page */
const hide = (page) => page.evaluate(() => Object.defineProperty(document, 'hidden', { get: () => true }));

/** @param {Page} page @returns {Promise<number>} */
const calls = (page) => page.evaluate(() => /** @type {any} */ (window).calls);

/** The answer to a request. @param {import('./harness.js').Raw} raw */
async function ask(raw) {
  const id = `kw:${String((lastId += 1)).padStart(16, '0')}`;
  raw.send({ code: '00', msg: '?', flag: 'who', id, ask: true });
  const answer = await raw.next(({ flag }) => flag === 'kw:answer');
  assert.equal(answer.id, id);
  return answer.body ?? answer.error;
}

/** No tab has answered twice, and no tab's other handlers had the requests. @param {Awaited<ReturnType<typeof tabs>>} all */
async function quiet({ raw, leader, follower }) {
  raw.send({ code: '00', msg: 'the end' });
  for (const page of [leader, follower]) {
    await until(async () => (await got(page)).length > 0, 'the end is heard');
    assert.deepEqual(await got(page), [{ code: '00', msg: 'the end' }]);
  }
  for (const page of [follower, leader]) await page.evaluate(() => /** @type {any} */ (window).wire.send({ flag: 'done' }));
  for (let done = 0; done < 2;) {
    const { flag } = await raw.next(({ flag }) => flag !== 'kw:ping');
    assert.equal(flag, 'done');
    done += 1;
  }
}

test('the tab with the connection answers if it has a handler and is seen', async () => {
  const all = await tabs();
  await handle(all.leader, 'leader');
  await handle(all.follower, 'follower');
  assert.equal(await ask(all.raw), 'leader');
  assert.deepEqual([await calls(all.leader), await calls(all.follower)], [1, 0]);
  await quiet(all);
});

test('a tab that is seen answers rather than a hidden one', async () => {
  const all = await tabs();
  await handle(all.leader, 'leader');
  await handle(all.follower, 'follower');
  await hide(all.leader);
  assert.equal(await ask(all.raw), 'follower');
  assert.deepEqual([await calls(all.leader), await calls(all.follower)], [0, 1]);
  await hide(all.follower);
  assert.equal(await ask(all.raw), 'leader');
  assert.deepEqual([await calls(all.leader), await calls(all.follower)], [1, 1]);
  await quiet(all);
});

test('the only tab with a handler answers, seen or not', async () => {
  const all = await tabs();
  await handle(all.follower, 'follower');
  assert.equal(await ask(all.raw), 'follower');
  await hide(all.follower);
  assert.equal(await ask(all.raw), 'follower');
  assert.equal(await calls(all.follower), 2);
  await quiet(all);
});

test('without a handler in any tab the answer is an error', async () => {
  const all = await tabs();
  assert.equal(await ask(all.raw), 'no handler for who');
  await quiet(all);
});

test('a request whose connection has ended is given to no tab', async () => {
  const { raw, leader, follower } = await tabs();
  await handle(leader, 'leader');
  await hide(leader);
  const coming = server.next();
  raw.send({ code: '00', msg: '?', flag: 'who', id: 'kw:1', ask: true });
  raw.socket.close(1012);
  const all = { raw: (await coming).raw, leader, follower };
  for (const page of [leader, follower]) await becomes(page, 'open');
  assert.equal(await calls(leader), 0);
  assert.equal(await ask(all.raw), 'leader');
  await quiet(all);
});
