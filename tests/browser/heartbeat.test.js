// Is anybody there? On a clock of its own, which can also be one that slept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, happens, last, opened, pass, run, settle, sleep } from './fake.js';

const PING = { flag: 'kw:ping' };
const PONG = { code: '00', msg: '', flag: 'kw:pong' };

test('after a silence the server is asked once, and its answer is nobody else\'s business', async () => {
  const { wire, seen } = await opened();
  wire.on('*', ({ flag }) => assert.notEqual(flag, 'kw:pong'));
  await pass(24_999);
  assert.deepEqual(last().sent, []);
  await pass(1);
  assert.deepEqual(last().sent, [PING]);
  await pass(9_999);
  last().push(PONG);
  await pass(15_000);
  assert.deepEqual(last().sent, [PING]);
  await pass(10_000);
  assert.deepEqual(last().sent, [PING, PING]);
  last().push(PONG);
  // Whatever comes is a sign of life.
  for (let i = 0; i < 10; i += 1) {
    await pass(20_000);
    last().push({ code: '01', msg: '' });
  }
  assert.deepEqual(last().sent, [PING, PING]);
  assert.deepEqual([wire.status, FakeSocket.all.length, seen('error').length, seen('notice').length], ['open', 1, 0, 0]);
});

test('a server that gives no sign of life is given up', async () => {
  const { wire, seen } = await opened();
  const dead = last();
  await pass(25_000);
  const request = assert.rejects(wire.request('x', { timeout: 60_000 }), /connection ended/);
  await pass(9_999);
  assert.equal(wire.status, 'open');
  await pass(1);
  await request;
  assert.deepEqual([wire.status, dead.closedWith], ['waiting', 1000]);
  assert.match(seen('error')[0].message, /no sign of life/);
  assert.deepEqual(seen('close'), [{ code: 1006, reason: '', final: false }]);
  await pass(750);
  assert.equal(FakeSocket.all.length, 2);
  // What the dead one says now is not heard.
  dead.end(4505);
  dead.push({ code: '00', msg: 'late' });
  assert.deepEqual([wire.status, seen('notice').length, seen('close').length], ['connecting', 0, 1]);
});

test('times can be chosen, and none at all', async () => {
  const { wire } = await opened({ heartbeat: 3000, pong: 500 });
  await pass(3000);
  assert.deepEqual(last().sent, [PING]);
  await pass(500);
  assert.equal(wire.status, 'waiting');
  wire.close();
  const without = await opened({ heartbeat: 0 });
  happens('offline');
  happens('online');
  await pass(3_600_000);
  assert.deepEqual([without.wire.status, last().sent], ['open', []]);
});

test('time that the page slept through is not held against the server', async () => {
  const { wire } = await opened();
  await pass(25_000);
  sleep(3_600_000);
  await pass(10_000);
  assert.deepEqual([wire.status, last().sent], ['open', [PING, PING]]);
  last().push(PONG);
  await pass(10_000);
  assert.equal(wire.status, 'open');
  // It fell asleep before it asked: then it asks on waking, and waits as ever.
  sleep(3_600_000);
  await pass(15_000);
  assert.deepEqual(last().sent, [PING, PING, PING]);
  await pass(10_000);
  assert.equal(wire.status, 'waiting');
});

test('a server that is dead is noticed although each timer is late', async () => {
  const { wire, seen } = await opened();
  await pass(25_000);
  for (let i = 0; i < 2; i += 1) {
    assert.equal(wire.status, 'open');
    sleep(50_000);
    await pass(10_000);
  }
  assert.equal(wire.status, 'waiting');
  assert.deepEqual(last().sent, [PING, PING]);
  assert.equal(seen('close').length, 1);
});

test('a page that comes back to life asks at once, and only once', async () => {
  for (const type of ['offline', 'online', 'resume', 'visibilitychange', 'pageshow']) {
    const { wire } = await opened();
    happens(type, { persisted: true });
    happens(type, { persisted: true });
    assert.deepEqual(last().sent, [PING], type);
    await pass(10_000);
    assert.equal(wire.status, 'waiting', type);
    wire.close();
  }
});

test('a server that still takes what was sent is not silent', async () => {
  const { wire } = await opened({ queue: 0 });
  const socket = last();
  wire.command('a long message');
  socket.bufferedAmount = 800_000;
  await pass(25_000);
  for (let left = 700_000; left >= 0; left -= 100_000) {
    socket.bufferedAmount = left;
    await pass(10_000);
    assert.equal(wire.status, 'open', `${left} bytes left`);
  }
  socket.push(PONG);
  await pass(10_000);
  // With nothing on its way it is silent again.
  await run(34_000);
  assert.notEqual(wire.status, 'open');
});

test('a question that leaves the buffer is no sign of life', async () => {
  const { wire, seen } = await opened();
  const socket = last();
  const { send } = socket;
  socket.send = (text) => {
    send.call(socket, text);
    socket.bufferedAmount = text.length;
  };
  await run(30_000);
  socket.bufferedAmount = 0;
  await run(6_000);
  assert.equal(seen('close').length, 1);
  assert.notEqual(wire.status, 'open');
});

test('a message that takes longer than heartbeat and pong is not lost over and over', async () => {
  const { wire, seen } = await opened({ delay: 0 });
  // It is sent again on each connection, and takes 60 s. What answers the question stands behind it.
  let lived = 0;
  for (const expected of [35_000, 45_000, 60_000]) {
    for (lived = 0; wire.status === 'open' && lived < 60_000; lived += 100) await pass(100);
    assert.equal(lived, expected);
    if (wire.status === 'open') break;
    await settle();
    last().accept();
  }
  assert.equal(seen('close').length, 2);
  last().push({ code: '01', msg: '', data: 'long' });
  last().push(PONG);
  // A server that answers has the usual time again.
  await run(34_900);
  assert.equal(wire.status, 'open');
  await run(200);
  assert.notEqual(wire.status, 'open');
});
