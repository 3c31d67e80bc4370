// What Chromium makes of close frames: the codes next to each border of the table, and frames that break the protocol.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROWS, returns } from './close_codes.js';
import { launchChromium, said, until, wired } from './harness.js';
import { OwnServer } from './own_server.js';

/** @type {import('playwright-core').Browser} */
let browser;
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

const BORDERS = [...new Set(ROWS.flatMap(({ from, to }) => [from, from + 1, to - 1, to]))].filter((code) => returns(code) !== undefined);

test('a page comes back, or not, as the table says, whatever is in the close frame', async () => {
  /** @type {Buffer[]} */
  const frames = [...BORDERS, 1012, 1013, 1014, 1015, 5000, 65535].map((code) => Buffer.from([0x88, 2, code >> 8, code & 255]));
  frames.push(Buffer.from([0x88, 0]), Buffer.from([0x88, 1, 3]));
  server.sockets.on('connection', (socket, request) => {
    const n = Number(/^\/websocket\/(\d+)$/.exec(request.url ?? '')?.[1]);
    socket.on('error', () => {});
    socket.on('message', () => {
      socket.send('{"code":"00","msg":"","flag":"kw:pong"}');
      // Not by the package, which sends no code that must not be sent, and would answer the answer.
      const stream = /** @type {any} */ (socket)._socket;
      stream.removeAllListeners('data').resume();
      stream.end(frames[n]);
    });
  });
  const page = await wired(await browser.newPage(), server.address, { queue: 0 });
  await page.evaluate(async (total) => {
    const { Keywire } = await import(/** @type {any} */ ('/keywire.js'));
    const { wire, log } = /** @type {any} */ (window);
    wire.close();
    log.length = 0;
    for (let n = 0; n < total; n += 1) {
      const each = new Keywire('/websocket', { key: String(n), delay: Infinity });
      each.addEventListener('close', (/** @type {CustomEvent} */ { detail }) => log.push(['close', { ...detail, n, status: each.status }]));
      each.connect();
    }
  }, frames.length);
  await until(async () => (await said(page, 'close')).length === frames.length, 'all have ended');
  const ends = await said(page, 'close');
  for (const { n, code, final, status } of ends) {
    const sent = frames[n].length === 4 ? frames[n].readUInt16BE(2) : 1005;
    const label = `${frames[n].toString('hex')} became ${code}`;
    assert.ok(code === sent || code === 1006, label);
    assert.equal(final, returns(code) === false, label);
    assert.equal(status, final ? 'closed' : 'waiting', label);
    // What it says of a broken frame asks for the same as the code that it had.
    if (frames[n].length === 4) assert.equal(final, returns(sent) === false, label);
  }
});
