// The demo over TLS, in Chromium: pages over https, sockets over wss.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Demo, launchChromium, open, say, toast } from './harness.js';

/** @param {string} name */
const fixture = (name) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** @type {Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
  const args = ['--tls-cert', fixture('tls-localhost.pem'), '--tls-key', fixture('tls-localhost.private.pem')];
  [demo, browser] = await Promise.all([Demo.start({ args }), launchChromium()]);
});
after(() => Promise.all([demo?.stop(), browser?.close()]));

test('pages over https reach each other over wss', async () => {
  assert.equal(demo.url.protocol, 'https:');
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const [alice, bob] = [await open(context, demo, 'alice'), await open(context, demo, 'bob')];
  await say(alice, 'bob', 'hello in private');
  await toast(bob, 'hello in private');
  assert.deepEqual([...alice.faults, ...bob.faults], []);
});
