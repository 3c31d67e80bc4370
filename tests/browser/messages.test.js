// What goes through the client, and what waits.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { create, last, opened, pass, settle } from './fake.js';

test('pushes go to the handlers of their flag, to those of all, and to whoever shows notices', async () => {
  const { wire, seen } = await opened();
  /** @type {string[]} */
  const heard = [];
  const off = wire.on('inform', ({ msg }) => heard.push(`inform ${msg}`));
  wire.on('*', ({ msg }) => heard.push(`* ${msg}`));
  wire.on('other', () => heard.push('never'));
  last().push({ code: '00', msg: 'one', flag: 'inform' });
  last().push({ code: '01', msg: '', data: 5 });
  last().push({ code: '00', msg: 'odd', flag: '*' });
  off();
  last().push({ code: '00', msg: 'two', flag: 'inform' });
  assert.deepEqual(heard, ['inform one', '* one', '* ', '* odd', '* two']);
  assert.deepEqual(seen('notice').map(({ msg }) => msg), ['one', 'odd', 'two']);
  // Handlers outlive the socket.
  last().end();
  await pass(1000);
  last().accept();
  last().push({ code: '00', msg: 'three' });
  assert.equal(heard.at(-1), '* three');
});

test('what is no push is an error and nothing else', async () => {
  const { wire, seen } = await opened();
  wire.on('*', () => assert.fail('not a push'));
  for (const text of ['', '{', 'null', '5', '[]', '{"msg":"x"}', '{"code":1,"msg":"x"}']) last().push(text);
  assert.equal(seen('error').length, 7);
  assert.equal(wire.status, 'open');
});

test('a broken handler harms no other, and is heard of', async () => {
  const { wire } = await opened();
  /** @type {unknown[]} */
  const thrown = [];
  const microtask = mock.method(globalThis, 'queueMicrotask', (/** @type {() => void} */ rethrow) => {
    try { rethrow(); } catch (error) { thrown.push(error); }
  });
  let heard = 0;
  wire.on('*', () => { throw new Error('broken'); });
  wire.on('*', () => { heard += 1; });
  last().push({ code: '00', msg: '' });
  microtask.mock.restore();
  assert.equal(heard, 1);
  assert.match(String(thrown[0]), /broken/);
});

test('envelopes are what the wire asks for', async () => {
  const { wire } = await opened();
  wire.command({ do: 'mine' });
  wire.inform('bob', 'hello');
  wire.inform('', [1]);
  wire.send({ flag: 'dance', reception: 'eve', body: null });
  assert.deepEqual(last().sent, [
    { flag: 'command', body: { do: 'mine' } },
    { flag: 'inform', reception: 'bob', body: 'hello' },
    { flag: 'inform', reception: '', body: [1] },
    { flag: 'dance', reception: 'eve', body: null },
  ]);
});

test('the queue keeps order and its bound, and gives everything away once', async () => {
  const { wire } = create({ queue: 3 });
  for (const n of [1, 2, 3]) wire.command(n);
  assert.throws(() => wire.command(4), /queue is full/);
  wire.connect();
  await settle();
  last().end();
  await pass(1000);
  last().accept();
  wire.command(5);
  assert.deepEqual(last().sent.map(({ body }) => body), [1, 2, 3, 5]);
  // A socket that is closing takes nothing any more: it waits for the next.
  last().readyState = 2;
  wire.command(6);
  last().end();
  await pass(1000);
  last().accept();
  assert.deepEqual(last().sent.map(({ body }) => body), [6]);
});

test('what waits is kept from a server that opens only to refuse', async () => {
  const { wire, seen } = create();
  wire.command('kept');
  const request = wire.request('too');
  wire.connect();
  await settle();
  last().open();
  assert.equal(wire.status, 'connecting');
  last().end(4001);
  assert.deepEqual([wire.status, last().sent, seen('open').length], ['waiting', [], 0]);
  await pass(1000);
  last().open();
  // Any word of it will do, and is not lost.
  wire.on('*', () => assert.equal(wire.status, 'open'));
  last().push({ code: '00', msg: 'hello' });
  assert.deepEqual(last().sent.map(({ body }) => body), ['kept', 'too']);
  assert.deepEqual(seen('notice').map(({ msg }) => msg), ['hello']);
  last().push({ code: '00', msg: '', id: last().sent[1].id });
  await request;
});

test('who closes on opening hears nothing more', async () => {
  const { wire, seen } = create();
  wire.addEventListener('open', () => wire.close());
  wire.on('*', () => assert.fail('heard after close'));
  wire.connect();
  await settle();
  last().open();
  last().push({ code: '00', msg: 'too late' });
  assert.deepEqual([wire.status, seen('notice')], ['closed', []]);
});

test('64 messages wait by default, none with a queue of 0', () => {
  const { wire } = create();
  for (let n = 0; n < 64; n += 1) wire.command(n);
  assert.throws(() => wire.command(64));
  assert.throws(() => create({ queue: 0 }).wire.command(1));
});

test('a request gets the push with its id', async () => {
  const { wire } = await opened();
  const one = wire.request('a');
  const two = wire.request('b', { flag: 'inform', reception: 'bob' });
  const [first, second] = last().sent;
  assert.notEqual(first.id, second.id);
  assert.deepEqual(second, { flag: 'inform', reception: 'bob', body: 'b', id: second.id });
  last().push({ code: '45', msg: 'not here', id: second.id });
  last().push({ code: '00', msg: 'ok', id: first.id });
  last().push({ code: '00', msg: 'again', id: first.id });
  assert.equal((await two).code, '45');
  assert.equal((await one).msg, 'ok');
});

test('no request is left hanging', async () => {
  const { wire } = await opened({ queue: 2 });
  const late = assert.rejects(wire.request('late', { timeout: 100 }), /no reply in time/);
  await pass(100);
  await late;
  const lost = assert.rejects(wire.request('lost'), /connection ended/);
  last().end();
  await lost;
  // In the queue there is hope, but not for ever; and what is given up is not sent any more.
  const hopeful = wire.request('hopeful', { timeout: 60_000 });
  const given = assert.rejects(wire.request('given up', { timeout: 10 }), /no reply in time/);
  await assert.rejects(wire.request('too many'), /queue is full/);
  await pass(10);
  await given;
  await pass(1000);
  last().accept();
  assert.deepEqual(last().sent.map(({ body }) => body), ['hopeful']);
  last().push({ code: '00', msg: 'done', id: last().sent[0].id });
  assert.equal((await hopeful).msg, 'done');
  const closing = assert.rejects(wire.request('closing'), /connection ended/);
  wire.close();
  await closing;
  await assert.rejects(wire.request('after'), /closed/);
});
