// Requests of the server, on a socket that is not one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, last, opened, pass, settle } from './fake.js';

const ask = (/** @type {string} */ flag, id = 'kw:0000000000000001') => ({ code: '00', msg: '?', flag, id, ask: true });
const answers = () => last().sent.filter(({ flag }) => flag === 'kw:answer');

test('the value of a handler is the answer, now or later', async () => {
  const { wire } = await opened();
  assert.deepEqual(last().protocols, ['keywire.v1', 'answers.keywire']);
  /** @type {any[]} */
  const asked = [];
  wire.answer('visible', (push) => asked.push(push) === 1);
  wire.answer('later', async ({ data }) => ({ got: data }));
  wire.answer('nothing', () => {});
  last().push(ask('visible', 'kw:1'));
  last().push({ ...ask('later', 'kw:2'), data: 7 });
  last().push(ask('nothing', 'kw:3'));
  await settle();
  assert.deepEqual(asked, [ask('visible', 'kw:1')]);
  assert.deepEqual(answers(), [
    { flag: 'kw:answer', id: 'kw:1', body: true },
    { flag: 'kw:answer', id: 'kw:2', body: { got: 7 } },
    { flag: 'kw:answer', id: 'kw:3' },
  ]);
});

test('a request is neither a push for other handlers nor the reply to a request of the page', async () => {
  const { wire, seen } = await opened();
  const remove = wire.on('*', () => assert.fail('a request is for one handler'));
  wire.answer('visible', () => 1);
  const reply = wire.request('status');
  const { id } = last().sent[0];
  last().push(ask('visible', id));
  await settle();
  assert.deepEqual(answers(), [{ flag: 'kw:answer', id, body: 1 }]);
  assert.deepEqual(seen('notice'), []);
  remove();
  last().push({ code: '00', msg: 'fine', id });
  assert.equal((await reply).msg, 'fine');
});

test('without a handler the answer is an error, at once', async () => {
  const { wire, seen } = await opened();
  wire.on('visible', () => assert.fail('not this kind of handler'));
  const remove = wire.answer('visible', () => 1);
  const removeSecond = wire.answer('visible', () => 2);
  remove();
  last().push(ask('visible', 'kw:1'));
  await settle();
  removeSecond();
  last().push(ask('visible', 'kw:2'));
  await settle();
  assert.deepEqual(answers(), [
    { flag: 'kw:answer', id: 'kw:1', body: 2 },
    { flag: 'kw:answer', id: 'kw:2', error: 'no handler for visible' },
  ]);
  assert.deepEqual(seen('error'), []);
});

test('the server gets the message of what a handler throws, of at most 256 bytes', async () => {
  const { wire, seen } = await opened();
  const cyclic = {};
  Object.assign(cyclic, { cyclic });
  const long = `a${'ë'.repeat(300)}`;
  const failures = [
    () => { throw new Error('no camera'); },
    () => Promise.reject(new Error(long)),
    () => { throw 'a string'; },
    () => { throw null; },
    () => { throw Object.create(null); },
  ];
  for (const fails of failures) {
    wire.answer('visible', fails);
    last().push(ask('visible'));
    await settle();
  }
  assert.deepEqual(answers().map(({ error }) => error), ['no camera', `a${'ë'.repeat(127)}`, 'a string', 'failed', 'failed']);
  wire.answer('visible', () => cyclic);
  last().push(ask('visible'));
  await settle();
  assert.match(answers()[5].error, /circular/i);
  assert.equal(seen('error').length, 6, 'for the console');
});

test('an answer belongs to the connection of its request', async () => {
  const { wire } = await opened({ delay: 100 });
  /** @type {(value: number) => void} */
  let give = () => {};
  wire.answer('visible', () => new Promise((resolve) => { give = resolve; }));
  last().push(ask('visible'));
  last().end();
  await pass(100);
  last().accept();
  give(1);
  await settle();
  assert.deepEqual(answers(), []);
});

test('a handler that is added before the client connects is there for the first message', async () => {
  const { wire } = create();
  wire.answer('visible', () => 1);
  wire.connect();
  await settle();
  last().open();
  last().push(ask('visible'));
  await settle();
  assert.deepEqual(answers(), [{ flag: 'kw:answer', id: 'kw:0000000000000001', body: 1 }]);
});
