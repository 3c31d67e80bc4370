// A credential in the subprotocols, and one that is exchanged over the open socket: in Chromium, with a server of our own.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { becomes, got, hears, launchChromium, path, said, until, wired } from './harness.js';
import { OwnServer } from './own_server.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {OwnServer} */
let server;

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

test('a token goes into the subprotocols, and the server chooses the other', async () => {
  const token = 'häß/lich+=?';
  const coming = server.next();
  const page = await wired(context, server.address, { key: token, via: 'protocol' });
  const { request } = await coming;
  await becomes(page, 'open');
  const [version, , carrier] = request.headers['sec-websocket-protocol'].split(/, */);
  assert.equal(version, 'keywire.v1');
  assert.equal(Buffer.from(carrier.replace('base64url.bearer.keywire.', ''), 'base64url').toString(), token);
  assert.equal(request.url, '/websocket');
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).wire.socket.protocol), 'keywire.v1');
});

/** @param {number} seconds */
function token(seconds) {
  const claims = JSON.stringify({ sub: 'alice', exp: Date.now() / 1000 + seconds });
  return `e30.${Buffer.from(claims).toString('base64url')}.sig`;
}

test('a token that was asked for is exchanged over the socket, as often as it takes', async () => {
  /** @type {string[]} */
  const given = [];
  await context.exposeFunction('nextToken', () => {
    // The first two end soon, so that there is something to see.
    given.push(token(given.length < 2 ? 2 : 3600));
    return given.at(-1);
  });
  const coming = server.next();
  const page = await wired(context, server.address, { tokens: true });
  const { raw } = await coming;
  for (const n of [1, 2]) {
    const { flag, body, id } = await raw.next((envelope) => envelope.flag === 'kw:refresh');
    assert.deepEqual([flag, body], ['kw:refresh', given[n]]);
    raw.send({ code: '00', msg: 'refreshed', id });
  }
  raw.send({ code: '00', msg: 'the end' });
  await hears(page, 'the end');
  assert.deepEqual(await got(page), [{ code: '00', msg: 'the end' }]);
  assert.deepEqual(await path(page), ['connecting', 'open']);
  assert.equal(given.length, 3);
});

test('a token that is refused is an error; one of another key is the end', async () => {
  await context.exposeFunction('nextToken', () => token(2));
  const coming = server.next();
  const page = await wired(context, server.address, { tokens: true });
  const { raw } = await coming;
  const { id } = await raw.next((envelope) => envelope.flag === 'kw:refresh');
  raw.send({ code: '41', msg: 'no', id });
  await until(async () => (await said(page, 'error')).length > 0, 'an error');
  await becomes(page, 'open');
  raw.socket.close(4507, 'another key');
  await becomes(page, 'closed');
  assert.deepEqual(await said(page, 'close'), [{ code: 4507, reason: 'another key', final: true }]);
});
