// When the client comes back, on a clock of its own.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { FakeSocket, chance, create, last, online, opened, pass, settle } from './fake.js';

test('delays double up to the cap, with the random part on top of the minimum', async () => {
  for (const [random, expected] of /** @type {[number, number[]][]} */ ([
    [0, [500, 500, 500, 500, 500, 500, 500, 500]],
    [0.5, [750, 1000, 1500, 2500, 4500, 8500, 10500, 10500]],
    [1, [1000, 1500, 2500, 4500, 8500, 16500, 20500, 20500]],
  ])) {
    chance.is = random;
    const { wire, delay } = create();
    wire.connect();
    await settle();
    for (const ms of expected) {
      last().end();
      assert.equal(delay(), ms);
      const before = FakeSocket.all.length;
      await pass(ms - 1);
      assert.equal(FakeSocket.all.length, before);
      await pass(1);
      assert.equal(FakeSocket.all.length, before + 1);
    }
    wire.close();
  }
});

test('the random part is spread evenly', async () => {
  mock.restoreAll();
  const quarters = [0, 0, 0, 0];
  const { wire, delay } = create({ min: 1000, max: 1000 });
  for (let i = 0; i < 2000; i += 1) {
    wire.connect();
    await settle();
    last().end();
    quarters[Math.floor((delay() - 1000) / 250)] += 1;
  }
  for (const n of quarters) assert.ok(n > 400 && n < 600, String(quarters));
});

test('only a connection that lived sets the delays back', async () => {
  const { delay } = await opened();
  const flap = async (/** @type {number} */ uptime) => {
    await pass(uptime);
    last().end();
    const ms = delay();
    await pass(ms);
    last().accept();
    return ms;
  };
  assert.equal(await flap(4999), 750);
  assert.equal(await flap(4999), 1000);
  assert.equal(await flap(0), 1500);
  assert.equal(await flap(5000), 750);
  assert.equal(await flap(0), 1000);
});

test('a fixed delay stays as it is', async () => {
  const { delay } = await opened({ delay: 4000 });
  for (let i = 0; i < 4; i += 1) {
    last().end();
    assert.equal(delay(), 4000);
    await pass(4000);
  }
});

test('a draining server is returned to within its window', async () => {
  for (const [random, reason, expected] of /** @type {[number, string, number][]} */ ([
    [0.5, '30000', 15000],
    [0, '30000', 0],
    [1, '200', 200],
  ])) {
    chance.is = random;
    const { wire, delay } = await opened();
    last().end(4005, reason);
    assert.equal(delay(), expected, reason);
    wire.close();
  }
});

test('what is final stays so until it is told to connect', async () => {
  for (const code of [1000, 1008, 4500, 4999]) {
    const { wire } = await opened();
    last().end(code, 'why');
    const before = FakeSocket.all.length;
    online();
    await pass(120_000);
    assert.equal(FakeSocket.all.length, before);
    assert.throws(() => wire.command('x'), /closed/);
    wire.connect();
    await settle();
    assert.equal(wire.status, 'connecting');
    wire.close();
  }
});
