// A thousand messages across three ends of the server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Demo, becomes, launchChromium, until, wired } from './harness.js';

const ROUNDS = 4;
/** In each round so many are sent over the socket, and so many wait in the queue for the next. */
const [SENT, QUEUED] = [200, 50];

test('a thousand messages arrive in order and once, and no request is left hanging', async () => {
  const browser = await launchChromium();
  let demo = await Demo.start();
  try {
    const page = await wired(await browser.newContext(), demo.http('/healthz'), { key: 'alice', delay: 1 });
    await becomes(page, 'open');
    // A handler of its own, set once.
    await page.evaluate(() => {
      const it = /** @type {any} */ (window);
      Object.assign(it, { numbers: [], outcomes: [] });
      it.wire.on('inform', (/** @type {any} */ { data }) => it.numbers.push(data));
      it.say = (/** @type {number} */ first, /** @type {number} */ n) => {
        for (let i = 0; i < n; i += 1) it.wire.inform('alice', first + i);
      };
      it.ask = (/** @type {string} */ what) => {
        const note = (/** @type {string} */ result) => it.outcomes.push(`${what} ${result}`);
        it.wire.request(null, { flag: 'inform', reception: 'nobody', timeout: 60_000 })
          .then((/** @type {any} */ { code }) => note(code), (/** @type {Error} */ error) => note(error.message));
      };
    });
    /** @param {number} n */
    const arrived = (n) => until(() => page.evaluate((n) => /** @type {any} */ (window).numbers.length >= n, n), `${n} messages`);
    let next = 1;
    /** @param {number} n */
    const say = async (n) => {
      await page.evaluate(([first, n]) => /** @type {any} */ (window).say(first, n), [next, n]);
      next += n;
    };
    /** @param {string} what */
    const ask = (what) => page.evaluate((what) => /** @type {any} */ (window).ask(what), what);

    for (let round = 1; round < ROUNDS; round += 1) {
      await say(SENT);
      await arrived(next - 1);
      // One goes into the socket that is about to be lost, one into the queue.
      if (round !== 2) await demo.freeze();
      await ask(`pending ${round}`);
      await demo.stop(round === 2 ? 'SIGTERM' : 'SIGKILL');
      await until(() => page.evaluate(() => /** @type {any} */ (window).wire.status !== 'open'), 'the end is noticed');
      await say(QUEUED);
      await ask(`queued ${round}`);
      demo = await Demo.start({ port: demo.url.port });
      await page.evaluate(() => /** @type {any} */ (window).wire.connect());
      await arrived(next - 1);
    }
    await say(SENT + QUEUED);
    await arrived(next - 1);
    const settled = () => page.evaluate(() => /** @type {any} */ (window).outcomes.length);
    await until(async () => (await settled()) === 2 * (ROUNDS - 1), 'all requests are settled');
    const { numbers, outcomes } = await page.evaluate(() => {
      const { numbers, outcomes } = /** @type {any} */ (window);
      return { numbers, outcomes };
    });
    assert.equal(numbers.length, 1000);
    assert.deepEqual(numbers, Array.from({ length: 1000 }, (_, i) => i + 1));
    // The second server ended in order: it has answered what arrived before its end, which the request may have missed.
    const [second] = outcomes.filter((/** @type {string} */ outcome) => outcome.startsWith('pending 2'));
    assert.match(second, /^pending 2 (45|the connection ended)$/);
    assert.deepEqual(outcomes, [
      'pending 1 the connection ended', 'queued 1 45',
      second, 'queued 2 45',
      'pending 3 the connection ended', 'queued 3 45',
    ]);
  } finally {
    await browser.close();
    await demo.stop();
  }
});
