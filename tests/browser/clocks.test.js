// Wall clocks that jump, in both directions: spans do not care, and the end of a credential is understood once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, jump, last, opened, pass, run } from './fake.js';

const PING = { flag: 'kw:ping' };
const HOUR = 3_600_000;
const JUMPS = [-1000 * HOUR, -HOUR, -5_000, 5_000, HOUR, 1000 * HOUR];

test('silence is measured by a clock that does not jump', async () => {
  for (const ms of JUMPS) {
    for (const at of [0, 10_000, 24_999]) {
      const { wire } = await opened();
      await pass(at);
      jump(ms);
      await pass(24_999 - at);
      assert.deepEqual(last().sent, [], `${ms} at ${at}: too early`);
      await pass(1);
      assert.deepEqual(last().sent, [PING], `${ms} at ${at}: not asked`);
      jump(ms);
      await pass(9_999);
      jump(-3 * ms);
      assert.equal(wire.status, 'open');
      await pass(1);
      assert.equal(wire.status, 'waiting', `${ms} at ${at}: not given up`);
      wire.close();
    }
  }
});

test('so are uptime and the delay', async () => {
  for (const ms of JUMPS) {
    const { wire, delay } = await opened();
    const flap = async (/** @type {number} */ uptime) => {
      jump(ms);
      await pass(uptime);
      jump(ms);
      last().end();
      const wait = delay();
      const before = FakeSocket.all.length;
      jump(-ms);
      await pass(wait - 1);
      assert.equal(FakeSocket.all.length, before, `${ms}: too early`);
      await pass(1);
      assert.equal(FakeSocket.all.length, before + 1, `${ms}: too late`);
      last().accept();
      return wait;
    };
    assert.deepEqual([await flap(4_999), await flap(4_999), await flap(0), await flap(5_000)], [750, 1000, 1500, 750], String(ms));
    wire.close();
  }
});

/** A server whose clock is right gives tokens for an hour, and says 00 to each that is fresh. */
async function renewing() {
  let asked = 0;
  const made = await opened({
    heartbeat: 0,
    key: () => { asked += 1; return { token: 't', expiresAt: performance.now() + HOUR }; },
  });
  const socket = last();
  const { send } = socket;
  socket.send = (text) => {
    send.call(socket, text);
    const { id } = JSON.parse(text);
    queueMicrotask(() => socket.push({ code: '00', msg: '', id }));
  };
  return { ...made, asked: () => asked };
}

test('a clock that jumps after the credential came changes nothing about its renewal', async () => {
  for (const ms of JUMPS) {
    const { wire, asked } = await renewing();
    await pass(HOUR / 2);
    jump(ms);
    await pass(HOUR / 2 - 60_001);
    assert.equal(asked(), 1, `${ms}: too early`);
    await pass(1);
    assert.equal(asked(), 2, `${ms}: too late`);
    wire.close();
    jump(-ms);
  }
});

test('a renewal that failed is tried again in time, whatever the clock does meanwhile', async () => {
  for (const ms of JUMPS) {
    let asked = 0;
    const { wire } = await opened({
      heartbeat: 0,
      key: () => {
        asked += 1;
        if (asked === 2) throw new Error('login is down');
        return { token: 't', expiresAt: Date.now() + 400_000 };
      },
    });
    await pass(339_999);
    jump(ms);
    await pass(1);
    assert.equal(asked, 2);
    await pass(44_999);
    assert.equal(asked, 2, String(ms));
    await pass(1);
    assert.equal(asked, 3, String(ms));
    wire.close();
    jump(-ms);
  }
});

test('with a clock that is wrong, fresh credentials make no storm', async () => {
  // The less a fresh token seems to have left, the oftener it would be exchanged.
  for (const left of [-1000, 0, 500, 1001, 1500, 2000, 5000, 20_000, 39_000, 60_000]) {
    const { wire, asked } = await renewing();
    jump(HOUR - left);
    await run(HOUR - 60_000, 250_000);
    const before = asked();
    await run(HOUR, 1000);
    assert.ok(asked() - before < 130, `${asked() - before} exchanges in an hour where ${left} ms seem to be left`);
    assert.equal(wire.status, 'open');
    wire.close();
    jump(left - HOUR);
  }
});
