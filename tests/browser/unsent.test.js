// What was accepted is brought out before a graceful end, or reported.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, happens, last, opened, pass, settle } from './fake.js';

const A = { flag: 'command', body: 'a' };
const B = { flag: 'inform', reception: 'bob', body: 'b', id: 7 };
const CLOSED = { code: 1000, reason: '', final: true };

test('whatever still waits when it is closed is reported, wherever it stands', async () => {
  /** @param {ReturnType<typeof create>} made */
  const reported = async ({ wire, seen }) => {
    wire.send(A);
    wire.send(B);
    // A request is told by its rejection.
    const request = assert.rejects(wire.request('c'), /connection ended/);
    wire.close();
    await request;
    assert.deepEqual(seen('close').at(-1), { ...CLOSED, unsent: [A, B] });
    assert.equal(seen('close').filter(({ unsent }) => unsent).length, 1);
  };
  await reported(create());
  // while the credential is on its way
  const asking = create({ key: () => new Promise(() => {}) });
  asking.wire.connect();
  await reported(asking);
  // while connecting, and before the server's first word
  const dialing = create();
  dialing.wire.connect();
  await settle();
  await reported(dialing);
  const opening = create();
  opening.wire.connect();
  await settle();
  last().open();
  await reported(opening);
  // while waiting
  const waiting = await opened();
  last().end();
  await reported(waiting);
  // with a socket that is closing already
  const closing = await opened();
  last().readyState = 2;
  await reported(closing);
});

test('nor is it lost by a final word of the server', async () => {
  const { wire, seen } = create();
  wire.send(A);
  wire.connect();
  await settle();
  last().open();
  last().end(4501, 'missing');
  assert.deepEqual(seen('close'), [{ code: 4501, reason: 'missing', final: true, unsent: [A] }]);
  // It is reported once, and not sent by a later life.
  wire.connect();
  await settle();
  last().accept();
  wire.close();
  assert.deepEqual([last().sent, seen('close').at(-1)], [[], CLOSED]);
});

test('what a socket took is not reported, and what will be sent is not either', async () => {
  const { wire, seen } = await opened();
  wire.send(A);
  last().end(1006);
  wire.send(B);
  await pass(1000);
  last().accept();
  assert.deepEqual(last().sent, [B]);
  happens('pagehide', { persisted: true });
  wire.close();
  assert.deepEqual(seen('close'), [
    { code: 1006, reason: '', final: false },
    { code: 1001, reason: '', final: false },
    CLOSED,
  ]);
});

test('a socket that closes while it opens takes nothing', async () => {
  const { wire, seen } = create();
  wire.send(A);
  wire.connect();
  await settle();
  last().open();
  // Its close frame came right behind the first word.
  last().readyState = 2;
  last().push({ code: '00', msg: '', flag: 'kw:pong' });
  last().end(1012);
  await pass(1000);
  last().accept();
  assert.deepEqual([last().sent, seen('error')], [[A], []]);
});

test('a listener of the close may send what is unsent on a new connection', async () => {
  const { wire } = create();
  wire.send(A);
  wire.addEventListener('close', ({ detail }) => {
    const { unsent } = detail;
    if (!unsent) return;
    wire.connect();
    for (const envelope of unsent) wire.send(envelope);
  });
  wire.connect();
  await settle();
  last().end(1008);
  await settle();
  last().accept();
  assert.deepEqual(last().sent, [A]);
});
