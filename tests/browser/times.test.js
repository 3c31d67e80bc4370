// Every time that can be set, and each value that a page may give it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, create, last, opened, pass, run, settle, timers } from './fake.js';

/** @typedef {import('../../client/keywire.js').Options} Options */

const DEFAULTS = {
  renew: 60_000, queue: 64, min: 500, max: 20_000, settle: 5_000, attempt: 10_000, heartbeat: 25_000, pong: 10_000,
  delay: undefined,
};
const NAMES = /** @type {(keyof typeof DEFAULTS)[]} */ (Object.keys(DEFAULTS));
const LONGEST = 2 ** 31 - 1;
const DAY = 86_400_000;

/** A life in which each time is used: what each timer was set to. @param {object} options @param {unknown} [timeout] */
async function life(options, timeout) {
  const from = timers.length;
  const { wire } = create({ key: () => ({ token: 't', expiresAt: Date.now() + 300_000 }), ...options });
  for (let n = 0; n < 70; n += 1) {
    try { wire.command(n); } catch { timers.push(n); }
  }
  wire.request('in the queue', { timeout: /** @type {number} */ (timeout) }).catch(() => {});
  wire.connect();
  await settle();
  last().end();
  for (const uptime of [0, 6_000, 100_000, 0, 0]) {
    await pass(40_000);
    if (wire.status === 'connecting') last().accept();
    if (wire.status === 'open') wire.request('sent', { timeout: /** @type {number} */ (timeout) }).catch(() => {});
    await run(uptime, 1000);
    if (last().readyState === FakeSocket.OPEN) last().end();
    await settle();
  }
  wire.close();
  return timers.slice(from);
}

test('what is no number from 0 on is as if it was not given', async () => {
  const usual = await life({});
  for (const value of [undefined, null, NaN, -1, -Infinity, '', ' ', 'soon', '5s', '-5', [], {}, true, () => 5]) {
    for (const name of NAMES) assert.deepEqual(await life({ [name]: value }), usual, `${name}: ${String(value)}`);
    assert.deepEqual(await life({}, value), usual, `timeout: ${String(value)}`);
  }
});

test('a number in a string is that number', async () => {
  for (const name of NAMES) assert.deepEqual(await life({ [name]: '3000' }), await life({ [name]: 3000 }), name);
  assert.deepEqual(await life({}, '3000'), await life({}, 3000));
});

test('no time is longer than a timer can be', async () => {
  for (const value of [Infinity, 'Infinity', LONGEST + 1, 30 * DAY, 2 ** 32 + 5, 1e300]) {
    for (const name of NAMES) assert.deepEqual(await life({ [name]: value }), await life({ [name]: LONGEST }), `${name}: ${value}`);
    assert.deepEqual(await life({}, value), await life({}, LONGEST), `timeout: ${value}`);
  }
});

test('with all of them at their longest nothing happens early', async () => {
  for (const value of [Infinity, 30 * DAY, LONGEST]) {
    const forever = Object.fromEntries(NAMES.map((name) => [name, value]));
    const { wire, delay } = await opened({ ...forever, key: () => ({ token: 't', expiresAt: Date.now() + 4000 * DAY }) });
    let settled = false;
    const patient = wire.request('x', { timeout: value }).catch(() => {}).then(() => { settled = true; });
    await pass(20 * DAY);
    assert.deepEqual([wire.status, FakeSocket.all.length, last().sent.length, settled], ['open', 1, 1, false]);
    last().end();
    assert.equal(delay(), LONGEST);
    await patient;
    await pass(20 * DAY);
    assert.deepEqual([wire.status, FakeSocket.all.length], ['waiting', 1]);
    wire.connect();
    await pass(20 * DAY);
    assert.deepEqual([wire.status, FakeSocket.all.length], ['connecting', 2]);
    wire.close();
    FakeSocket.all = [];
  }
});

test('with all of them at 0 nothing throws and nothing spins', async () => {
  const none = Object.fromEntries(NAMES.filter((name) => name !== 'attempt').map((name) => [name, 0]));
  const { wire } = await opened({ ...none, key: () => ({ token: 't', expiresAt: Date.now() + DAY }) });
  const before = timers.length;
  await run(60_000, 1000);
  assert.deepEqual([wire.status, timers.length, last().sent], ['open', before, []]);
  await assert.rejects(Promise.all([wire.request('x', { timeout: 0 }), pass(0)]), /no reply in time/);
});

test('an end that is none, long over, or far away makes no storm of renewals', async () => {
  for (const expiresAt of [NaN, Infinity, -Infinity, 0, -1, 1e300, new Date(NaN), new Date(8.64e15), 'soon', '', null]) {
    let asked = 0;
    const { wire, seen } = await opened({
      heartbeat: 0,
      key: () => { asked += 1; return { token: 't', expiresAt: /** @type {number} */ (expiresAt) }; },
    });
    await run(20 * DAY, DAY / 4);
    assert.deepEqual([wire.status, asked, seen('error')], ['open', 1, []], String(expiresAt));
    wire.close();
  }
});

test('only a window that a server can mean is one', async () => {
  const drained = async (/** @type {string} */ reason) => {
    const { wire, delay } = await opened();
    last().end(4005, reason);
    wire.close();
    return delay();
  };
  for (const [reason, half] of [['1', 0.5], ['0200', 100], ['30000', 15_000], ['1000000', 500_000]]) {
    assert.equal(await drained(String(reason)), half, String(reason));
  }
  for (const reason of [
    '', '0', '-1', '-30000', '+5', ' 5', '5 ', '1.5', '1e3', '0x10', '1000001', '99999999999', '9'.repeat(120), 'Infinity', 'NaN',
    'null', 'soon', '5s', '٣',
  ]) assert.equal(await drained(reason), 750, reason);
});
