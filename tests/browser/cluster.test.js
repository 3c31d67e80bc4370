// Two demos that are one cluster: a push reaches the pages of the other node, a page survives the death of its node, and the pages
// show who is online.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, freePort, launchChromium, open, say, status, toast, within } from './harness.js';
import { Redis } from './redis.js';

/** @typedef {import('playwright-core').Page} Page */

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {Redis} */
let redis;
/** @type {number[]} */
let ports;
/** @type {Demo[]} */
let nodes;

before(async () => {
  browser = await launchChromium();
});
after(() => browser?.close());
beforeEach(async () => {
  nodes = [];
  redis = new Redis();
  await redis.start();
  ports = [await freePort(), await freePort()];
  nodes = [await node(0), await node(1)];
  context = await browser.newContext();
});
afterEach(async () => {
  await context?.close();
  for (const demo of nodes) await demo.stop();
  await redis.stop();
});

/** Starts a node, the other one being its peer. @param {number} n */
const node = (n) =>
  Demo.start({ port: ports[n], args: ['--redis', redis.url, '--peer', `127.0.0.1:${ports[1 - n]}`, '--killable'] });

/** @param {number} n @param {string} key @param {object} push */
async function push(n, key, push) {
  const answer = await nodes[n].post(`/push/${key}`, { code: '00', ...push });
  assert.equal(answer.status, 200);
  return answer.json();
}

/** The page says that it is on this node. @param {Page} page @param {number} n */
const isOn = (page, n) => page.locator('#cluster-here', { hasText: `This page is on node 127.0.0.1:${ports[n]}.` }).waitFor();

/** The box of a node, with this state. @param {Page} page @param {number} n @param {string} tone */
const box = (page, n, tone = 'good') => page.locator(`.node[data-tone="${tone}"]`, { hasText: `127.0.0.1:${ports[n]}` });

/** A key among those online. @param {Page} page @param {string} key */
const online = (page, key) => page.locator('#online .key').getByText(key, { exact: true });

test('pages on two nodes reach each other, and show each other', async () => {
  const alice = await open(context, nodes[0], 'alice');
  const bob = await open(context, nodes[1], 'bob');
  await isOn(alice, 0);
  await isOn(bob, 1);
  for (const page of [alice, bob]) {
    await page.locator('#cluster-state', { hasText: 'connected to Redis' }).waitFor();
    await online(page, 'alice').waitFor();
    await online(page, 'bob').waitFor();
    await box(page, 0).locator('.key', { hasText: 'alice' }).waitFor();
    await box(page, 1).locator('.key', { hasText: 'bob' }).waitFor();
    await page.locator('#sessions', { hasText: /^2$/ }).waitFor();
    await page.locator('#keys', { hasText: /^2$/ }).waitFor();
  }

  const { delivered, remote } = await push(0, 'bob', { msg: 'from node 0' });
  assert.deepEqual({ delivered, remote }, { delivered: 0, remote: 'published' });
  await toast(bob, 'from node 0');
  await say(bob, 'alice', 'hello over there');
  await toast(alice, 'hello over there');
  await bob.locator('#sent', { hasText: 'sent to the others' }).waitFor();
  await say(bob, 'nobody', 'hello?');
  await bob.locator('#sent', { hasText: 'Not delivered' }).waitFor();

  const at = await (await fetch(nodes[0].http('/online/bob'))).json();
  const { cluster } = await (await fetch(nodes[1].http('/health'))).json();
  assert.deepEqual(at, [{ node: cluster.node, sessions: 1 }]);
  assert.deepEqual([alice.faults, bob.faults], [[], []]);

  await bob.close();
  await online(alice, 'bob').waitFor({ state: 'detached' });
  await alice.locator('#sessions', { hasText: /^1$/ }).waitFor();
});

test('a page whose node is killed goes on at the other node, with each kept push once', async () => {
  const bob = await open(context, nodes[1], 'bob');
  await isOn(bob, 1);
  await push(0, 'bob', { msg: 'before', keep: true });
  await bob.locator('#kept li', { hasText: 'before' }).waitFor();

  await bob.click('#kill');
  assert.deepEqual(await within(nodes[1].exited, 'the node is dead'), { code: null, signal: 'SIGABRT' });
  await push(0, 'bob', { msg: 'meanwhile', keep: true });
  await status(bob, 'open');
  await isOn(bob, 0);
  await push(0, 'bob', { msg: 'after', keep: true });
  await bob.locator('#kept li', { hasText: 'after' }).waitFor();
  assert.deepEqual(await bob.locator('#kept .text').allTextContents(), ['after', 'meanwhile', 'before']);
  await box(bob, 1, 'bad').waitFor();
  assert.match(String(await bob.textContent('#curl-push')), new RegExp(`127.0.0.1:${ports[0]}/push/bob`));

  nodes[1] = await node(1);
  await box(bob, 1).waitFor();
  await box(bob, 1, 'bad').waitFor({ state: 'detached' });
  await push(1, 'bob', { msg: 'from a new node', keep: true });
  await bob.locator('#kept li', { hasText: 'from a new node' }).waitFor();
  assert.equal(await bob.locator('#kept li').count(), 4);
});

test('the keys of a killed node leave when its lease ends', async () => {
  const alice = await open(context, nodes[0], 'alice');
  const elsewhere = await browser.newContext();
  const bob = await open(elsewhere, nodes[1], 'bob');
  await online(alice, 'bob').waitFor();
  // The page ends with its node, so it does not move.
  await Promise.all([bob.close(), nodes[1].stop('SIGKILL')]);
  await online(alice, 'bob').waitFor({ state: 'detached', timeout: 30_000 });
  await online(alice, 'alice').waitFor();
  await elsewhere.close();
});

test('the page says that the engine is away, and that it is back', async () => {
  const alice = await open(context, nodes[0], 'alice');
  const bob = await open(context, nodes[1], 'bob');
  await alice.locator('#cluster-state', { hasText: 'connected to Redis' }).waitFor();
  await box(alice, 1).waitFor();
  await redis.kill();
  for (const page of [alice, bob]) await page.locator('#cluster-state', { hasText: 'Redis is away' }).waitFor();
  await box(alice, 1, 'bad').waitFor();
  assert.equal((await (await fetch(nodes[0].http('/health'))).json()).cluster.is_connected, false);
  await redis.start();
  // Connected means that a node can publish, and that its subscriptions are in force: node 0 needs the one, the node of bob the other.
  for (const page of [alice, bob]) {
    await page.locator('#cluster-state', { hasText: 'connected to Redis' }).waitFor({ timeout: 40_000 });
  }
  await box(alice, 1).waitFor({ timeout: 40_000 });
  await push(0, 'bob', { msg: 'back again' });
  await toast(bob, 'back again');
});

test('only a user of the demo may kill a node, and only if it may be killed', async () => {
  const kill = (/** @type {Demo} */ demo, headers = {}) => fetch(demo.http('/kill'), { method: 'POST', headers });
  assert.equal((await kill(nodes[0], { origin: 'http://evil.example' })).status, 403);
  const safe = await Demo.start({ args: ['--redis', redis.url] });
  nodes.push(safe);
  assert.equal((await kill(safe)).status, 404);
  const page = await open(context, safe, 'alice');
  await page.locator('#cluster').waitFor();
  assert.ok(await page.locator('#kill').isHidden());
  await kill(nodes[1]).catch(() => {});
  assert.equal((await within(nodes[1].exited, 'the node is dead')).signal, 'SIGABRT');
});
