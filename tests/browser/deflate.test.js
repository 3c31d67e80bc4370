// permessage-deflate with clients that are not ours: the ws package, and Chromium.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Demo, Raw, launchChromium, open, toast, within } from './harness.js';

const GRANTED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
const LONG = 'nothing new under the sun, '.repeat(2000);

/** @type {Demo} */
let demo;
before(async () => {
  demo = await Demo.start({ args: ['--deflate'] });
});
after(() => demo?.stop());

/**
 * @param {string} key @param {import('ws').PerMessageDeflateOptions | boolean} perMessageDeflate
 */
async function connect(key, perMessageDeflate) {
  const socket = new WebSocket(demo.socket(key), { perMessageDeflate });
  const raw = Object.assign(new Raw(socket), { socket });
  await within(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), 'it opens');
  await raw.entered();
  return raw;
}

/** How many bytes came from the server so far. @param {Raw} raw */
const bytesRead = (raw) => /** @type {any} */ (raw.socket)._socket.bytesRead;

test('a broadcast is compressed for those who offered it, and for nobody else', async () => {
  const [short, plain] = await Promise.all([connect('short', true), connect('plain', false)]);
  assert.equal(short.socket.extensions, 'permessage-deflate');
  assert.equal(plain.socket.extensions, '');
  const before = [short, plain].map(bytesRead);
  // Twice: each message is for itself.
  for (const msg of [LONG, 'short', LONG]) {
    await demo.post('/broadcast', { msg });
    for (const raw of [short, plain]) assert.equal((await raw.next()).msg, msg);
  }
  const [some, all] = [short, plain].map((raw, i) => bytesRead(raw) - before[i]);
  assert.ok(all > 2 * LONG.length, `${all} bytes`);
  assert.ok(some < all / 50, `${some} bytes of ${all}`);
  await Promise.all([short.close(), plain.close()]);
});

test('what ws compresses is understood, whole or in fragments', async () => {
  const raw = await connect('writer', { threshold: 0 });
  const inform = (/** @type {string} */ body) => JSON.stringify({ flag: 'inform', reception: 'writer', body });
  for (const body of ['short', 'x'.repeat(30_000), 'ü€😀'.repeat(3000), Math.random().toString(36).repeat(100)]) {
    raw.send(inform(body));
    assert.equal((await raw.next()).msg, body);
    const text = inform(body);
    const third = Math.ceil(text.length / 3);
    for (let at = 0; at < text.length; at += third) {
      raw.socket.send(text.slice(at, at + third), { fin: at + third >= text.length, compress: true });
    }
    assert.equal((await raw.next()).msg, body);
  }
  raw.send('');
  assert.equal((await raw.next()).code, '40');
  await raw.close();
});

test('what ws inflates to too much ends the session with 1009', async () => {
  const raw = await connect('bomber', { threshold: 0 });
  raw.send(`{"flag":"inform","body":"${' '.repeat(4 << 20)}"}`);
  assert.equal((await within(raw.closed, 'the socket closes')).code, 1009);
});

test('each way in which ws can offer it is answered as it should be', async () => {
  for (const [options, extensions] of /** @type {[import('ws').PerMessageDeflateOptions, string][]} */ ([
    [{}, 'permessage-deflate'],
    [{ serverNoContextTakeover: true, clientNoContextTakeover: true }, 'permessage-deflate'],
    [{ clientMaxWindowBits: 10 }, 'permessage-deflate'],
    [{ serverMaxWindowBits: 15 }, 'permessage-deflate'],
    [{ serverMaxWindowBits: 10 }, ''],
  ])) {
    const raw = await connect('asking', options);
    assert.equal(raw.socket.extensions, extensions, JSON.stringify(options));
    await demo.post('/push/asking', { msg: LONG });
    assert.equal((await raw.next()).msg, LONG);
    await raw.close();
  }
});

test('Chromium offers it by itself, and its page notices nothing', async () => {
  const browser = await launchChromium();
  try {
    const context = await browser.newContext();
    const page = await open(context, demo, 'alice');
    const extensions = await page.evaluate(async (url) => {
      const socket = new WebSocket(url);
      await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
      socket.close();
      return socket.extensions;
    }, demo.socket('looker'));
    assert.equal(extensions, GRANTED);
    await demo.post('/push/alice', { msg: `a long story: ${LONG}` });
    await toast(page, 'a long story');
    // And back: what the page says, Chromium compresses.
    const echoed = await page.evaluate(
      async ([url, body]) => {
        const socket = new WebSocket(url);
        await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
        const answer = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(JSON.parse(String(data)).msg)));
        socket.send(JSON.stringify({ flag: 'inform', reception: 'echo', body }));
        return answer;
      },
      [demo.socket('echo'), LONG],
    );
    assert.equal(echoed, LONG);
    assert.deepEqual(page.faults, []);
  } finally {
    await browser.close();
  }
});
