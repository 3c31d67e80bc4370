// The whole way: a page that keeps its token out of the URL and lives longer than it, with the demo.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, becomes, connectRaw, hears, launchChromium, path, said, within, wired } from './harness.js';
import { SECRET, token } from './tokens.js';

/** @type {Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;

before(async () => {
  demo = await Demo.start({ args: ['--jwt-secret', SECRET, '--jwt-leeway', '0'] });
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});
beforeEach(async () => {
  context = await browser.newContext();
});
afterEach(() => context.close());

/** @param {string} sub @param {number} seconds */
const lasting = (sub, seconds) => token(sub, Date.now() / 1000 + seconds);

test('a session outlives the token that it was opened with', async () => {
  let asked = 0;
  await context.exposeFunction('nextToken', () => lasting('alice', (asked += 1) === 1 ? 4 : 3600));
  const page = await wired(context, demo.http('/'), { tokens: true, via: 'protocol' });
  await becomes(page, 'open');
  // Opened after alice's, and for as long: when this one has ended, her first token has.
  const other = await connectRaw(demo.socket(lasting('bob', 4)));
  assert.equal((await within(other.closed, 'the other one ends')).code, 4001);
  const headers = { authorization: `Bearer ${lasting('bob', 3600)}` };
  const pushed = await fetch(demo.http('/push/alice'), { method: 'POST', headers, body: '{"msg":"still there?"}' });
  assert.equal(pushed.status, 200);
  await hears(page, 'still there?');
  assert.deepEqual(await path(page), ['connecting', 'open']);
  assert.equal(asked, 2);
});

test('a fresh token of somebody else ends it for good', async () => {
  let asked = 0;
  await context.exposeFunction('nextToken', () => ((asked += 1) === 1 ? lasting('alice', 3) : lasting('mallory', 3600)));
  const page = await wired(context, demo.http('/'), { tokens: true, via: 'protocol' });
  await becomes(page, 'closed');
  assert.deepEqual(
    (await said(page, 'close')).map(({ code, final }) => [code, final]),
    [[4507, true]],
  );
});
