// From connect to close, on a clock of its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, create, happens, last, listening, online, opened, pass, settle } from './fake.js';

/** @typedef {import('../../client/keywire.js').Keywire} Keywire */

test('it tells where it stands', async () => {
  const { wire, seen } = create();
  assert.equal(wire.status, 'idle');
  assert.equal(wire.socket, null);
  wire.connect();
  await settle();
  assert.equal(wire.status, 'connecting');
  last().accept();
  assert.equal(wire.status, 'open');
  assert.equal(wire.socket, last());
  last().end();
  assert.equal(wire.status, 'waiting');
  assert.equal(wire.socket, null);
  wire.close();
  assert.equal(wire.status, 'closed');
  assert.deepEqual(seen('status').map(({ status }) => status), ['connecting', 'open', 'waiting', 'closed']);
  assert.equal(seen('open').length, 1);
  assert.deepEqual(seen('close'), [
    { code: 1006, reason: '', final: false },
    { code: 1000, reason: '', final: true },
  ]);
});

test('whatever happens, there is one attempt and one socket at a time', async () => {
  /** @type {(key: string) => void} */
  let give = () => {};
  let asked = 0;
  const { wire } = create({ key: () => new Promise((resolve) => { asked += 1; give = resolve; }), attempt: 600_000 });
  for (let i = 0; i < 3; i += 1) { wire.connect(); online(); }
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [1, 0]);
  give('alice');
  await settle();
  for (let i = 0; i < 3; i += 1) { wire.connect(); online(); }
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [1, 1]);
  last().accept();
  wire.connect();
  online();
  last().end();
  // Now at once; and the timer that was running is not a second way.
  online();
  online();
  wire.connect();
  await pass(60_000);
  assert.equal(asked, 2);
  give('alice');
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [2, 2]);
});

test('close is final at every point', async () => {
  const stays = async (/** @type {Keywire} */ wire) => {
    assert.equal(wire.status, 'closed');
    const before = FakeSocket.all.length;
    online();
    await pass(120_000);
    assert.equal(FakeSocket.all.length, before);
    assert.equal(wire.status, 'closed');
    assert.equal(listening(), 0, 'a closed client leaves nothing behind on the page');
  };
  // before it began
  const idle = create();
  idle.wire.close();
  await stays(idle.wire);
  // while the credential is on its way
  /** @type {(key: string) => void} */
  let give = () => {};
  const asking = create({ key: () => new Promise((resolve) => { give = resolve; }) });
  asking.wire.connect();
  asking.wire.close();
  give('alice');
  await stays(asking.wire);
  assert.equal(FakeSocket.all.length, 0);
  // while connecting, with a late opening
  const dialing = create();
  dialing.wire.connect();
  await settle();
  dialing.wire.close();
  assert.equal(last().closedWith, 1000);
  last().dispatchEvent(new Event('open'));
  last().end();
  await stays(dialing.wire);
  // open, with a late message and a late end
  const open = await opened();
  open.wire.on('*', () => assert.fail('heard after close'));
  open.wire.close();
  last().push({ code: '00', msg: 'late' });
  last().end(1006);
  await stays(open.wire);
  // while waiting
  const waiting = await opened();
  last().end();
  waiting.wire.close();
  await stays(waiting.wire);
  // in a listener of its own events
  for (const status of ['connecting', 'open', 'waiting']) {
    const { wire } = create();
    wire.addEventListener('status', ({ detail }) => { if (detail.status === status) wire.close(); });
    wire.connect();
    await settle();
    if (status !== 'connecting') last().accept();
    if (status === 'waiting') last().end();
    await stays(wire);
  }
  const failing = create({ key: () => { throw new Error('no'); } });
  failing.wire.addEventListener('error', () => failing.wire.close());
  failing.wire.connect();
  await settle();
  await stays(failing.wire);
});

test('an attempt that does not end is given up, wherever it hangs', async () => {
  /** @type {AbortSignal[]} */
  const signals = [];
  const asking = create({ key: (signal) => new Promise(() => signals.push(signal)) });
  asking.wire.connect();
  await pass(9_999);
  assert.equal(asking.wire.status, 'connecting');
  assert.equal(signals[0].aborted, false);
  await pass(1);
  assert.equal(asking.wire.status, 'waiting');
  assert.equal(signals[0].aborted, true);
  assert.match(asking.seen('error')[0].message, /too long/);
  await pass(750);
  assert.deepEqual([asking.wire.status, signals.length], ['connecting', 2]);
  asking.wire.close();

  const dialing = create({ attempt: 3000 });
  dialing.wire.connect();
  await settle();
  const stuck = last();
  await pass(3000);
  assert.deepEqual([dialing.wire.status, stuck.closedWith], ['waiting', 1000]);
  await pass(750);
  assert.notEqual(last(), stuck);
  stuck.dispatchEvent(new Event('open'));
  stuck.end(4505);
  assert.equal(dialing.wire.status, 'connecting');
  last().accept();
  // The limit is the attempt's, not the connection's.
  await pass(20_000);
  assert.equal(dialing.wire.status, 'open');
});

test('a page that is looked at again, or is back online, does not wait', async () => {
  for (const [type, more, hidden, comes] of /** @type {[string, object, boolean, boolean][]} */ ([
    ['online', {}, true, true],
    ['resume', {}, true, true],
    ['visibilitychange', {}, false, true],
    ['visibilitychange', {}, true, false],
    ['pageshow', { persisted: false }, false, false],
    ['offline', {}, false, false],
    ['freeze', {}, false, false],
  ])) {
    const { wire } = await opened();
    last().end();
    const before = FakeSocket.all.length;
    Object.assign(document, { hidden });
    happens(type, more);
    await settle();
    assert.equal(FakeSocket.all.length - before, comes ? 1 : 0, `${type}, hidden: ${hidden}`);
    wire.close();
  }
});

test('a page that goes takes its socket along, and one that comes out of the cache gets a new one', async () => {
  const { wire, seen } = await opened();
  const lost = assert.rejects(wire.request('x'), /connection ended/);
  happens('pagehide', { persisted: true });
  await lost;
  assert.deepEqual([wire.status, last().closedWith, wire.socket], ['waiting', 1000, null]);
  assert.deepEqual(seen('close'), [{ code: 1001, reason: '', final: false }]);
  await pass(120_000);
  assert.equal(FakeSocket.all.length, 1);
  wire.command('later');
  happens('pageshow', { persisted: true });
  await settle();
  last().accept();
  assert.deepEqual([FakeSocket.all.length, wire.status], [2, 'open']);
  assert.deepEqual(last().sent.map(({ body }) => body), ['later']);
  // While it waits there is only the timer to stop.
  last().end();
  happens('pagehide', { persisted: true });
  await pass(120_000);
  assert.equal(FakeSocket.all.length, 2);
  wire.close();
  happens('pageshow', { persisted: true });
  await pass(120_000);
  assert.equal(FakeSocket.all.length, 2);
});

test('without a page it can be made, and a relative URL is an error when it connects', async () => {
  const { wire, seen } = create({}, '/websocket');
  wire.on('*', () => {});
  wire.command('queued');
  for (let i = 0; i < 2; i += 1) assert.throws(() => wire.connect(), /not absolute/);
  assert.deepEqual([wire.status, seen('status'), FakeSocket.all.length, listening()], ['idle', [], 0, 0]);
  // An absolute one needs no page.
  create({}, 'https://host/websocket').wire.connect();
  await settle();
  assert.equal(last().url, 'wss://host/websocket');
  // Once there is a page it can connect.
  Object.assign(globalThis, { location: { href: 'https://host/somewhere/' } });
  try {
    wire.connect();
    await settle();
    assert.equal(last().url, 'wss://host/websocket');
    // What is no URL at all is an error where it is written.
    assert.throws(() => create({}, 'https://['), TypeError);
  } finally {
    Reflect.deleteProperty(globalThis, 'location');
  }
});
