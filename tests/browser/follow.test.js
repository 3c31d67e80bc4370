// Following the log of kept pushes, on a socket that is not one.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { create, last, opened, pass, settle } from './fake.js';

const at = (/** @type {number} */ seq, tag = 'a') => `${seq}.${tag.repeat(16)}`;
const kept = (/** @type {number} */ seq, tag = 'a') => ({ code: '00', msg: `push ${seq}`, at: at(seq, tag), time: 1 });
const from = (/** @type {string} */ position, gap = null) => ({ code: '00', msg: '', flag: 'kw:from', data: { at: position, to: position, gap } });
const asked = () => last().protocols.filter((protocol) => protocol.startsWith('from.'));

afterEach(() => { delete (/** @type {any} */ (globalThis)).sessionStorage; });

/** A page's storage. @param {Record<string, string>} items */
const storage = (items = {}) => Object.assign(globalThis, {
  sessionStorage: {
    items,
    getItem: (/** @type {string} */ name) => items[name] ?? null,
    setItem: (/** @type {string} */ name, /** @type {string} */ value) => { items[name] = value; },
  },
});

test('a page that does not follow asks for nothing and reads no position', async () => {
  const { wire, seen } = await opened();
  assert.deepEqual(asked(), []);
  wire.seen();
  for (const seq of [2, 1]) last().push(kept(seq));
  assert.equal(seen('notice').length, 2);
  assert.deepEqual(last().sent, []);
});

test('it asks from where it is told to, and after that from where it has got to', async () => {
  const { seen } = await opened({ follow: 'now', delay: 1000 });
  assert.deepEqual(asked(), ['from.keywire.now']);
  last().push(from(at(4)));
  last().end();
  await pass(1000);
  assert.deepEqual(asked(), [`from.keywire.${at(4)}`]);
  last().accept();
  last().push(from(at(4)));
  last().push(kept(5));
  last().push(kept(6));
  last().end();
  await pass(1000);
  assert.deepEqual(asked(), [`from.keywire.${at(6)}`]);
  assert.deepEqual(seen('notice').map(({ msg }) => msg), ['push 5', 'push 6']);
});

test('a page that begins at the end of the log is open when it knows where that is', async () => {
  const { wire, seen } = create({ follow: 'now', delay: 1000 });
  wire.connect();
  await settle();
  last().accept();
  last().push({ code: '00', msg: 'plain' });
  assert.deepEqual([wire.status, seen('notice').length], ['connecting', 1]);
  last().push(from(at(4)));
  assert.deepEqual([wire.status, seen('open').length], ['open', 1]);
  last().end();
  await pass(1000);
  // It has a place, so it does not wait for another.
  last().accept();
  assert.equal(wire.status, 'open');
});

test('a page does not wait long for a log that is away, and not at all if it is asked', async () => {
  const attempt = async (/** @type {number} */ time) => {
    const { wire } = create({ follow: 'now', attempt: time, delay: 1000 });
    wire.connect();
    await settle();
    last().accept();
    return wire;
  };
  const patient = await attempt(10_000);
  await pass(999);
  last().push({ code: '00', msg: 'plain' });
  assert.equal(patient.status, 'connecting');
  await pass(1);
  assert.equal(patient.status, 'open');
  // An attempt does not end because of it.
  const hasty = await attempt(100);
  await pass(1000);
  assert.equal(hasty.status, 'open');
  const lost = await attempt(10_000);
  last().end();
  await pass(1000);
  assert.equal(lost.status, 'connecting');
  lost.answer('confirm', () => true);
  last().accept();
  last().push({ code: '00', msg: '?', flag: 'confirm', id: 'kw:1', ask: true });
  await settle();
  assert.deepEqual([lost.status, last().sent], ['open', [{ flag: 'kw:answer', id: 'kw:1', body: true }]]);
});

test('what was there before does not come again', async () => {
  const { wire, seen } = await opened({ follow: at(4) });
  /** @type {string[]} */
  const heard = [];
  wire.on('*', ({ at = '' }) => heard.push(at));
  last().push(from(at(4)));
  for (const seq of [4, 5, 5, 3, 6]) last().push(kept(seq));
  last().push({ code: '00', msg: 'plain' });
  assert.deepEqual(heard, [at(5), at(6), '']);
  assert.deepEqual(seen('gap'), []);
});

test('a position counts only after the handlers have run', async () => {
  const { sessionStorage } = /** @type {any} */ (storage());
  const { wire } = await opened({ follow: 'now', resume: 'reload' });
  last().push(from(at(4)));
  /** @type {string[]} */
  const counted = [];
  // A page that is torn down here has not had the push.
  wire.on('*', () => counted.push(...Object.values(sessionStorage.items)));
  last().push(kept(5));
  assert.deepEqual([...counted, ...Object.values(sessionStorage.items)], [at(4), at(5)]);
});

test('a gap is told, and following goes on where the server says', async () => {
  const { seen } = await opened({ follow: at(9, 'b'), delay: 1000 });
  last().push(from(at(2), /** @type {any} */ ('reset')));
  last().push(kept(3));
  last().push({ code: '00', msg: '', flag: 'kw:gap', data: { why: 'trimmed', at: at(7) } });
  last().push(kept(8));
  assert.deepEqual(seen('gap'), [{ why: 'reset', at: at(2) }, { why: 'trimmed', at: at(7) }]);
  assert.deepEqual(seen('notice').map(({ msg }) => msg), ['push 3', 'push 8']);
  last().end();
  await pass(1000);
  assert.deepEqual(asked(), [`from.keywire.${at(8)}`]);
});

test('what the user has seen is said, from inside of a handler too', async () => {
  const { wire } = await opened({ follow: 'unread' });
  last().push(from(at(4)));
  wire.seen();
  wire.on('*', (push) => wire.seen(push.at));
  last().push(kept(5));
  assert.deepEqual(last().sent, [{ flag: 'kw:seen', body: at(4) }, { flag: 'kw:seen', body: at(5) }]);
});

test('a position outlives a reload where that is asked for, and a page without storage does without', async () => {
  const { sessionStorage } = /** @type {any} */ (storage());
  await opened({ follow: 'now', resume: 'reload' });
  last().push(from(at(4)));
  last().push(kept(5));
  assert.deepEqual(sessionStorage.items, { 'keywire ws://host/websocket ': at(5) });
  await opened({ follow: 'now', resume: 'reload' });
  assert.deepEqual(asked(), [`from.keywire.${at(5)}`]);
  await opened({ follow: 'now' });
  assert.deepEqual(asked(), ['from.keywire.now']);
  Object.assign(globalThis, { sessionStorage: { getItem() { throw new Error('blocked'); }, setItem() { throw new Error('blocked'); } } });
  const { seen } = await opened({ follow: 'now', resume: 'reload' });
  last().push(from(at(4)));
  last().push(kept(5));
  assert.deepEqual([seen('error'), seen('notice').length], [[], 1]);
});

test('a position that cannot be one keeps nobody from connecting', async () => {
  await opened({ follow: 'an old "position"' });
  assert.deepEqual(asked(), ['from.keywire.an_old__position_']);
});

test('a server that keeps nothing is an error, once it has had its time', async () => {
  const { seen } = await opened({ follow: 'now', heartbeat: 0 });
  await pass(1_000);
  await pass(10_000);
  const [{ id, flag }] = last().sent;
  assert.equal(flag, 'kw:read');
  last().push({ code: '44', msg: '', id });
  await settle();
  assert.match(String(seen('error')), /keeps no pushes/);
  const other = await opened({ follow: 'now', heartbeat: 0 });
  last().push(from(at(1)));
  await pass(20_000);
  assert.deepEqual([last().sent, other.seen('error')], [[], []]);
});

test('before it connects a page has no place', () => {
  const { wire } = create({ follow: 'now' });
  wire.seen();
});
