// The demo with --jwt-secret: only tokens get in.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Demo, connectRaw, launchChromium, say, status, toast } from './harness.js';

/** @type {Demo} */
let demo;
before(async () => {
  demo = await Demo.start({ args: ['--jwt-secret', 'a secret that is long enough for HS256'] });
});
after(() => demo?.stop());

test('a raw key is refused with 401, in words a client of keywire.v1 can read', async () => {
  await assert.rejects(connectRaw(demo.socket('alice')), { status: 401 });
  const ours = await connectRaw(demo.socket('alice'), ['keywire.v1']);
  assert.equal(/** @type {any} */ (await ours.closed).code, 4501);
});

test('a token from the login gets in, a bent one does not', async () => {
  const answer = await demo.post('/login', { key: 'alice' });
  assert.equal(answer.status, 200);
  const { token, key, expires_in } = await answer.json();
  assert.equal(key, 'alice');
  assert.ok(expires_in > 0);
  const raw = await connectRaw(demo.socket(token));
  raw.send({ sender: 'bob', reception: 'alice', body: 'it is me', flag: 'inform' });
  assert.equal((await raw.next()).sender, 'alice');
  await raw.close();
  const [head, claims, signature] = token.split('.');
  const bent = [head, claims, signature.split('').reverse().join('')].join('.');
  await assert.rejects(connectRaw(demo.socket(bent)), { status: 401 });
});

test('the page logs in, and stays logged in over a reload until it logs out', async () => {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(demo.http('/'));
    await page.getByLabel('Log in as').fill('alice');
    assert.equal(await page.getAttribute('#status', 'data-status'), 'idle');
    await page.getByRole('button', { name: 'Log in' }).click();
    await status(page, 'open');
    await say(page, 'alice', 'hello me');
    await toast(page, 'hello me');
    await page.reload();
    await status(page, 'open');
    assert.equal(await page.inputValue('#key'), 'alice');
    await page.getByRole('button', { name: 'Log out' }).click();
    await status(page, 'closed');
    await page.reload();
    await status(page, 'idle');
  } finally {
    await browser.close();
  }
});
