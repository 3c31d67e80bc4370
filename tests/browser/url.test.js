// A URL that is a function: a page that goes on at another node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Keywire } from '../../client/keywire.js';
import { FakeSocket, create, last, pass, settle } from './fake.js';

test('each attempt asks for the URL, and handlers and the queue come along', async () => {
  const nodes = ['ws://one/websocket', 'https://two/websocket'];
  let n = 0;
  let asked = 0;
  const { wire } = create({ key: 'alice', delay: 100 }, () => {
    asked += 1;
    return nodes[n];
  });
  assert.equal(asked, 1, 'once when the client is made');
  /** @type {string[]} */
  const heard = [];
  wire.on('*', ({ msg }) => heard.push(msg));
  wire.addEventListener('status', ({ detail }) => {
    if (detail.status === 'waiting') n = (n + 1) % nodes.length;
  });
  wire.connect();
  await settle();
  last().accept();
  last().push({ code: '00', msg: 'at one' });
  last().end();
  wire.command('for two');
  await pass(100);
  last().accept();
  last().push({ code: '00', msg: 'at two' });
  assert.deepEqual(FakeSocket.all.map(({ url }) => url), ['ws://one/websocket/alice', 'wss://two/websocket/alice']);
  assert.deepEqual(last().sent, [{ flag: 'command', body: 'for two' }]);
  assert.deepEqual(heard.filter((msg) => msg), ['at one', 'at two']);
  assert.equal(asked, 3, 'and once for each attempt');
});

test('a function that fails is a failed attempt', async () => {
  let broken = false;
  const { wire, seen } = create({ delay: 100 }, () => {
    if (broken) throw new Error('no node is known');
    return 'ws://one/websocket';
  });
  broken = true;
  wire.connect();
  await settle();
  assert.equal(wire.status, 'waiting');
  assert.match(String(seen('error')[0]), /no node is known/);
  broken = false;
  await pass(100);
  last().accept();
  assert.equal(wire.status, 'open');
});

test('the position is kept under the first URL', async () => {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const storage = { getItem: (/** @type {string} */ name) => kept.get(name) ?? null, setItem: kept.set.bind(kept) };
  Object.assign(globalThis, { sessionStorage: storage });
  try {
    let at = 'ws://one/websocket';
    const { wire } = create({ follow: 'now', resume: 'reload' }, () => at);
    at = 'ws://two/websocket';
    wire.connect();
    await settle();
    last().accept();
    last().push({ code: '00', msg: '', flag: 'kw:from', data: { at: '1.00000000000000aa', to: '1.00000000000000aa', gap: null } });
    assert.deepEqual([last().url, [...kept.keys()]], ['ws://two/websocket', ['keywire ws://one/websocket ']]);
  } finally {
    Reflect.deleteProperty(globalThis, 'sessionStorage');
  }
});

test('a function that fails at first is an error of whoever makes the client', () => {
  assert.throws(() => new Keywire(() => { throw new Error('no node is known'); }), /no node is known/);
});
