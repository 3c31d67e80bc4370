// The demo page in a real browser, against the real demo.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, feedItem, launchChromium, open, say, status, toast, until } from './harness.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
/** @type {import('playwright-core').BrowserContext} */
let context;

before(async () => {
  browser = await launchChromium();
  demo = await Demo.start();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});
beforeEach(async () => {
  context = await browser.newContext();
});
afterEach(() => context.close());

/** @param {import('playwright-core').Page} page @param {number} difficulty */
async function mine(page, difficulty) {
  await page.fill('#difficulty', String(difficulty));
  await page.click('#start');
}

test('the page connects, shows its key and its state, and breaks no rule of its policy', async () => {
  const page = await open(context, demo, 'alice');
  assert.equal(await page.textContent('#status'), 'connected');
  assert.equal(await page.inputValue('#key'), 'alice');
  await page.locator('#sessions', { hasText: '1' }).waitFor();
  assert.match(String(await page.textContent('#curl-push')), /\/push\/alice'$/);
  await page.click('#connect');
  await status(page, 'closed');
  await page.fill('#key', 'anna');
  await page.click('#connect');
  await status(page, 'open');
  assert.deepEqual(page.faults, []);
});

test('a key is remembered in its tab and may have any letters', async () => {
  const key = "zoë/50% & 'co' ?#";
  const page = await context.newPage();
  await page.goto(demo.http('/'));
  await status(page, 'open');
  assert.match(await page.inputValue('#key'), /^[a-z]+-[a-z]+$/);
  await page.click('#connect');
  await page.fill('#key', key);
  await page.click('#connect');
  await status(page, 'open');
  await page.reload();
  await status(page, 'open');
  assert.equal(await page.inputValue('#key'), key);
  await say(page, key, 'note to self');
  await feedItem(page, 'note to self', 'you');
});

test('who is online is counted live', async () => {
  const page = await open(context, demo, 'alice');
  await page.locator('#sessions', { hasText: /^1$/ }).waitFor();
  const other = await open(context, demo, 'bob');
  const twin = await open(context, demo, 'bob');
  await page.locator('#sessions', { hasText: /^3$/ }).waitFor();
  await page.locator('#keys', { hasText: /^2$/ }).waitFor();
  await twin.close();
  await other.close();
  await page.locator('#sessions', { hasText: /^1$/ }).waitFor();
});

test('two tabs of a key both see the mining and the block', async () => {
  const one = await open(context, demo, 'miner');
  const two = await open(context, demo, 'miner');
  const stranger = await open(context, demo, 'stranger');
  await mine(one, 16);
  for (const page of [one, two]) {
    await page.locator('#block').waitFor();
    const hash = String(await page.textContent('#hash'));
    assert.match(hash, /^0000[0-9a-f]{60}$/);
    assert.match(String(await page.textContent('#hash .zeros')), /^0{4,}$/);
    assert.ok(Number(await page.textContent('#zero-bits')) >= 16);
    assert.notEqual(await page.textContent('#attempts'), '0');
  }
  assert.equal(await one.textContent('#hash'), await two.textContent('#hash'));
  assert.equal(await one.textContent('#nonce'), await two.textContent('#nonce'));
  assert.equal(await stranger.textContent('#mine-state'), 'idle');
});

test('mining goes on where all tabs see it, until any of them stops it', async () => {
  const one = await open(context, demo, 'digger');
  const two = await open(context, demo, 'digger');
  await mine(one, 32);
  for (const page of [one, two]) {
    await page.locator('[data-state="mining"]').waitFor();
    const seen = await page.textContent('#attempts');
    await page.locator('#attempts').filter({ hasNotText: new RegExp(`^${seen}$`) }).waitFor();
    await page.locator('#rate', { hasText: '/s' }).waitFor();
  }
  const third = await open(context, demo, 'digger');
  await third.locator('[data-state="mining"]').waitFor();
  await two.click('#stop');
  for (const page of [one, two, third]) await page.locator('[data-state="stopped"]').waitFor();
  await mine(two, 1);
  await one.locator('#block').waitFor();
});

test('a message reaches the other key with its true sender; an absent recipient is told of', async () => {
  const alice = await open(context, demo, 'alice');
  const bob = await open(context, demo, 'bob');
  await say(alice, 'bob', 'are you <b>there</b>?');
  await toast(bob, 'are you <b>there</b>?');
  await feedItem(bob, 'are you <b>there</b>?', 'alice');
  await alice.locator('#sent', { hasText: 'Delivered to 1 session.' }).waitFor();
  await say(alice, 'nobody-at-all', 'and you?');
  await alice.locator('#feed li', { hasText: '45' }).waitFor();
  await alice.locator('.toast[data-tone="bad"]').waitFor();
  await alice.locator('#sent', { hasText: 'Not delivered.' }).waitFor();
  await say(alice, '', 'to all of you');
  for (const page of [alice, bob]) await toast(page, 'to all of you');
  await feedItem(alice, 'to all of you', 'you');
});

test('the backend reaches one user, or all of them', async () => {
  const alice = await open(context, demo, 'alice');
  const bob = await open(context, demo, 'bob');
  const pushed = await demo.post('/push/alice', { code: '00', msg: 'only for alice' });
  assert.equal(pushed.status, 200);
  await toast(alice, 'only for alice');
  const broadcast = await demo.post('/broadcast', { code: '00', msg: 'for everyone' });
  assert.equal(broadcast.status, 200);
  for (const page of [alice, bob]) await toast(page, 'for everyone');
  // It came before the broadcast if it came at all.
  assert.equal(await bob.locator('#feed li', { hasText: 'only for alice' }).count(), 0);
});

test('a page that knows nothing of keywire works', async () => {
  const page = await context.newPage();
  await page.goto(demo.http('/healthz'));
  await page.evaluate(async () => {
    const socket = new WebSocket(`ws://${location.host}/websocket/mine`);
    /** @type {any[]} */
    const got = [];
    socket.onmessage = ({ data }) => got.push(JSON.parse(data));
    Object.assign(window, { socket, got });
    await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  });
  /** @returns {Promise<any[]>} */
  const got = () => page.evaluate(() => /** @type {any} */ (window).got);
  /** @param {unknown} message */
  const send = (message) => page.evaluate((text) => /** @type {any} */ (window).socket.send(text), JSON.stringify(message));
  /** @param {(push: any) => boolean} fits */
  const some = (fits) => until(async () => (await got()).some(fits), `a push that fits ${fits}`);

  // Others come and go, ask for counts and talk, and nothing of it concerns this page.
  const other = await open(context, demo, 'other');
  await say(other, 'other', 'talking to myself');
  await feedItem(other, 'talking to myself', 'you');
  assert.deepEqual(await got(), []);

  await send({ sender: 'mine', reception: '', body: { do: 'mine', difficulty: 32 }, flag: 'command' });
  await some((push) => push.code === '01' && push.data > 0);
  await send({ sender: 'mine', reception: '', body: { do: 'stop' }, flag: 'command' });
  await some((push) => push.code === '00' && push.msg === 'stopped');
  await send({ sender: 'mine', reception: '', body: { do: 'mine', difficulty: 8 }, flag: 'command' });
  await some((push) => push.code === '00' && typeof push.data?.hash === 'string' && push.data.attempts >= 1);

  await send({ sender: 'the-queen', reception: 'other', body: 'bow', flag: 'inform' });
  await feedItem(other, 'bow', 'mine');

  for (const push of await got()) {
    assert.equal(typeof push.code, 'string');
    assert.equal(typeof push.msg, 'string');
    assert.ok(push.flag === undefined || push.flag === 'inform', `unasked flag in ${JSON.stringify(push)}`);
  }
});
