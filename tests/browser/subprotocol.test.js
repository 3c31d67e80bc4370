// A token as a subprotocol: a page's way to send one that stands in no URL.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, launchChromium, until } from './harness.js';
import { SECRET } from './tokens.js';

/** @type {Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string} */
let token;

before(async () => {
  demo = await Demo.start({ args: ['--jwt-secret', SECRET] });
  browser = await launchChromium();
  page = await browser.newPage();
  await page.goto(demo.http('/'));
  ({ token } = await (await demo.post('/login', { key: 'alice' })).json());
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/**
 * Opens a socket in the page, and asks it for a sign of life once it is open.
 * @param {string[]} protocols
 */
function talk(protocols, path = '/websocket') {
  return page.evaluate(([path, protocols]) => {
    const socket = new WebSocket(path, protocols);
    return new Promise((resolve) => {
      socket.onopen = () => socket.send(JSON.stringify({ flag: 'inform', reception: 'alice', body: 'hello me' }));
      socket.onmessage = ({ data }) => {
        resolve({ protocol: socket.protocol, sender: JSON.parse(data).sender });
        socket.onclose = null;
        socket.close();
      };
      socket.onclose = ({ code, reason }) => resolve({ code, reason });
    });
  }, /** @type {const} */ ([path, protocols]));
}

/** @param {string} text */
const offer = (text) => `base64url.bearer.keywire.${Buffer.from(text).toString('base64url')}`;

test('a page gets in by it, and keywire.v1 is what is chosen', async () => {
  for (const protocols of [['keywire.v1', offer(token)], [offer(token), 'chat', 'keywire.v1']]) {
    assert.deepEqual(await talk(protocols), { protocol: 'keywire.v1', sender: 'alice' });
  }
});

test('a wrong one is refused in words that the page can read', async () => {
  assert.deepEqual(await talk(['keywire.v1', offer(`${token}x`)]), { code: 4501, reason: 'invalid' });
  assert.deepEqual(await talk(['keywire.v1', offer(token), offer('another')]), { code: 4501, reason: 'malformed' });
  assert.deepEqual(await talk(['keywire.v1']), { code: 4501, reason: 'missing' });
});

// The token is never chosen, and a browser fails a connection for which nothing is.
test('alone it opens nothing', async () => {
  assert.deepEqual(await talk([offer(token)]), { code: 1006, reason: '' });
  assert.deepEqual(await talk(['chat'], `/websocket/${token}`), { code: 1006, reason: '' });
  await until(async () => (await demo.stats()).sessions === 0, 'no session');
});
