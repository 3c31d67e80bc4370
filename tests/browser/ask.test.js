// The server asks pages: the demo and the client, in Chromium.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, becomes, connectRaw, launchChromium, until, wired } from './harness.js';

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

/** A page of alice that answers with this. @param {string} [answer] */
async function page(answer) {
  const page = await wired(context, demo.http('/healthz'), { key: 'alice' });
  await becomes(page, 'open');
  await page.evaluate((answer) => {
    const it = /** @type {any} */ (window);
    it.asked = 0;
    it.wire.answer('never', () => {
      it.asked += 1;
      return new Promise(() => {});
    });
    if (answer) it.wire.answer('who', async (/** @type {any} */ { data }) => ({ answer, data }));
    it.wire.answer('fails', () => { throw new Error('no camera'); });
  }, answer);
  return page;
}

/** @param {string} flag @param {unknown} [data] */
const ask = async (flag, data) => {
  const answers = await (await demo.post('/ask/alice', { flag, data })).json();
  return answers.map((/** @type {object} */ answer) => JSON.stringify(answer)).sort();
};

test('each page of a user answers, and a plain client is not asked', async () => {
  await page('one');
  await page('two');
  await page();
  const plain = await connectRaw(demo.socket('alice'));
  await plain.entered();
  assert.deepEqual(await ask('who', 7), [
    '{"answer":{"answer":"one","data":7}}',
    '{"answer":{"answer":"two","data":7}}',
    '{"error":"the client failed to answer: no handler for who"}',
  ]);
  assert.deepEqual(await ask('fails'), Array(3).fill('{"error":"the client failed to answer: no camera"}'));
  assert.deepEqual(plain.messages, []);
  await plain.close();
});

test('a page that navigates away has no answer', async () => {
  const left = await page('one');
  const asking = ask('never');
  await until(() => left.evaluate(() => /** @type {any} */ (window).asked === 1), 'the page is asked');
  await left.goto('about:blank');
  assert.deepEqual(await asking, ['{"error":"the session ended before the answer came"}']);
});
