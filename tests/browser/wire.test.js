// The wire as a client sees it that is not ours.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, connectRaw } from './harness.js';

/** @type {Demo} */
let demo;
before(async () => {
  demo = await Demo.start();
});
after(() => demo?.stop());

/** @param {number} levels */
const nested = (levels) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

/** Each: what is wrong, the frame, and the id that the answer carries. @type {[string, string | Buffer, (string | number)?][]} */
const BAD = [
  ['no JSON', 'hello'],
  ['half of a JSON', '{"flag":"inform"'],
  ['an empty text', ''],
  ['an array', '[1,2]'],
  ['a string', '"inform"'],
  ['null', 'null'],
  ['no flag', '{"body":1,"id":7}', 7],
  ['a flag that is null', '{"flag":null,"id":"seven"}', 'seven'],
  ['a flag that is a number', '{"flag":5,"id":8}', 8],
  ['a reception that is a number', '{"flag":"inform","reception":5,"body":"x","id":9}', 9],
  ['a reception that is an object', '{"id":10,"flag":"inform","reception":{},"body":"x"}', 10],
  ['an id that is an object', '{"flag":"inform","body":"x","id":{}}'],
  ['an id that is a fraction', '{"flag":"inform","body":"x","id":1.5}'],
  ['an id that is too large', '{"flag":"inform","body":"x","id":9007199254740993}'],
  ['an id that is too long', JSON.stringify({ flag: 'inform', body: 'x', id: 'i'.repeat(65) })],
  ['a body of 100 levels', `{"id":11,"flag":"inform","body":${nested(100)}}`, 11],
  ['100 levels in a field that nobody knows', `{"flag":"inform","body":"x","more":${nested(100)},"id":12}`, 12],
  ['a binary frame', Buffer.from([1, 2, 3])],
];

test('bad input of each kind gets its error push, and the connection stays', async (t) => {
  const raw = await connectRaw(demo.socket('clumsy'));
  for (const [what, frame, id] of BAD) {
    await t.test(what, async () => {
      raw.send(frame);
      const push = await raw.next();
      assert.equal(push.code, '40');
      assert.equal(typeof push.msg, 'string');
      assert.notEqual(push.msg, '');
      assert.equal(push.id, id);
      // The very next good message is understood.
      raw.send({ flag: 'inform', reception: 'clumsy', body: what });
      assert.deepEqual(await raw.next(), { code: '00', msg: what, flag: 'inform', sender: 'clumsy' });
    });
  }
  await raw.close();
});

test('a flag that nobody handles is told so', async () => {
  const raw = await connectRaw(demo.socket('curious'));
  raw.send({ flag: 'dance', id: 'tango' });
  const push = await raw.next();
  assert.equal(push.code, '44');
  assert.equal(push.id, 'tango');
  await raw.close();
});

test('a sender is who the server says it is, whatever the envelope says', async () => {
  const [mallory, bob] = await Promise.all([connectRaw(demo.socket('mallory')), connectRaw(demo.socket('bob'))]);
  mallory.send({ sender: 'alice', reception: 'bob', body: { pay: 100 }, flag: 'inform' });
  assert.deepEqual(await bob.next(), { code: '00', msg: '', data: { pay: 100 }, flag: 'inform', sender: 'mallory' });
  await Promise.all([mallory.close(), bob.close()]);
});

test('a reply carries the id of what it answers, and comes only where there is one', async () => {
  const [alice, bob] = await Promise.all([connectRaw(demo.socket('alice')), connectRaw(demo.socket('bob'))]);
  alice.send({ reception: 'bob', body: 'no reply wanted', flag: 'inform' });
  alice.send({ reception: 'bob', body: 'reply wanted', flag: 'inform', id: 9007199254740991 });
  assert.deepEqual(await alice.next(), { code: '00', msg: 'delivered', data: { delivered: 1 }, id: 9007199254740991 });
  assert.equal((await bob.next()).msg, 'no reply wanted');
  assert.equal((await bob.next()).msg, 'reply wanted');
  alice.send({ reception: 'nobody-at-all', body: 'x', flag: 'inform', id: 'lost' });
  const push = await alice.next();
  assert.equal(push.code, '45');
  assert.equal(push.id, 'lost');
  await Promise.all([alice.close(), bob.close()]);
});

test('mining tells all sessions of the key, refuses a second start, and stops', async () => {
  const [one, two] = await Promise.all([connectRaw(demo.socket('miner')), connectRaw(demo.socket('miner'))]);
  one.send({ body: { do: 'mine', difficulty: 32 }, flag: 'command' });
  const progress = (/** @type {any} */ push) => push.code === '01' && push.data > 0;
  const first = (await two.next(progress)).data;
  assert.ok((await two.next(progress)).data > first);
  two.send({ body: { do: 'mine', difficulty: 1 }, flag: 'command', id: 2 });
  assert.ok(!['00', '01'].includes((await two.next((push) => push.id === 2)).code));
  two.send({ body: { do: 'stop' }, flag: 'command' });
  for (const raw of [one, two]) await raw.next((push) => push.code === '00' && push.msg === 'stopped');
  for (const difficulty of [0, 257, -1, 1.5, '20', null]) {
    one.send({ body: { do: 'mine', difficulty }, flag: 'command', id: `d${difficulty}` });
    assert.equal((await one.next((push) => push.id === `d${difficulty}`)).code, '40');
  }
  one.send({ body: { do: 'mine', difficulty: 12 }, flag: 'command' });
  const { data } = await two.next((push) => push.msg === 'block mined');
  assert.match(data.hash, /^000[0-9a-f]{61}$/);
  assert.ok(data.attempts >= 1);
  assert.equal(typeof data.nonce, 'number');
  await Promise.all([one.close(), two.close()]);
});

test('counts come to those who asked for them', async () => {
  const raw = await connectRaw(demo.socket('watcher'));
  raw.send({ flag: 'watch', id: 1 });
  const { code, msg, data, flag } = await raw.next((push) => push.flag === 'stats');
  assert.deepEqual({ code, msg, flag }, { code: '01', msg: '', flag: 'stats' });
  const other = await connectRaw(demo.socket('passer-by'));
  await raw.next((push) => push.flag === 'stats' && push.data.sessions === data.sessions + 1);
  await other.close();
  await raw.next((push) => push.flag === 'stats' && push.data.sessions === data.sessions);
  await raw.close();
});

test('without a secret there is no login', async () => {
  assert.deepEqual(await (await fetch(demo.http('/config'))).json(), { auth: 'key', log: false });
  assert.equal((await demo.post('/login', { key: 'alice' })).status, 404);
});
