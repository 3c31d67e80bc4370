// The small examples, each as its head says: run it, open its page, do what it shows.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PROGRAM, connectRaw, launchChromium, until } from './harness.js';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('node:child_process').ChildProcess[]} */
const running = [];

before(async () => {
  browser = await launchChromium();
});
after(async () => {
  for (const child of running) child.kill('SIGKILL');
  await browser?.close();
});

/**
 * Runs an example on a free port. Returns the addresses that it prints.
 * @param {string} name @param {string[]} [args] @returns {Promise<[string, string]>}
 */
async function run(name, args = [], count = 1, env = {}) {
  const child = spawn(join(dirname(PROGRAM), name), ['127.0.0.1:0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  running.push(child);
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const addresses = () => output.match(/http:\S+$/gm) ?? [];
  await until(() => addresses().length >= count, `${name} listens`);
  return /** @type {[string, string]} */ (/** @type {string[]} */ (addresses()));
}

/** A page with a context, and so with cookies, of its own. @param {string} url */
async function open(url) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(url);
  return page;
}

/** @param {import('playwright-core').Page} page @param {string} text */
const shows = (page, text) => page.getByText(text).first().waitFor({ timeout: 20_000 });

test('each is short, says how to run it, and is tested', () => {
  const tested = readFileSync(fileURLToPath(import.meta.url), 'utf8');
  // These have tests of their own.
  const elsewhere = ['hello', 'echo', 'types'];
  for (const file of readdirSync(EXAMPLES).filter((file) => file.endsWith('.rs'))) {
    const [name, text] = [file.slice(0, -3), readFileSync(join(EXAMPLES, file), 'utf8')];
    assert.match(text, new RegExp(`^//! .*cargo run (--release )?--example ${name}`, 'm'), name);
    if (elsewhere.includes(name)) continue;
    assert.ok(text.split('\n').length <= 81, `${name} has ${text.split('\n').length} lines`);
    assert.ok(tested.includes(`run('${name}'`), `${name} is not tested`);
  }
});

test('chat', async () => {
  const [url] = await run('chat');
  const alice = await open(url);
  await shows(alice, 'lobby, alice: is here');
  const bob = await open(url.replace('alice', 'bob'));
  await shows(alice, 'lobby, bob: is here');
  await bob.fill('input', 'hello');
  await bob.click('button');
  await shows(alice, 'lobby, bob: hello');
  await bob.close();
  await shows(alice, 'lobby, bob: is gone');
});

test('notify', async () => {
  const [url] = await run('notify');
  const pay = async () => (await fetch(new URL('/orders/17/paid/alice', url), { method: 'POST' })).text();
  assert.match(await pay(), /send a mail/);
  const alice = await open(url);
  await until(async () => (await pay()) === '1 tabs show it\n', 'the page is connected');
  await shows(alice, 'Your order is paid (17: paid)');
});

test('progress', async () => {
  const [url] = await run('progress');
  const page = await open(url);
  await page.click('button');
  await shows(page, 'exported');
  assert.equal(await page.locator('progress').evaluate((bar) => /** @type {HTMLProgressElement} */ (bar).value), 100);
});

test('inbox', async () => {
  const [url] = await run('inbox');
  const send = async (/** @type {string} */ body) =>
    (await fetch(new URL('/send/alice', url), { method: 'POST', body })).text();
  assert.match(await send('while away'), /^At\(.*0 tabs/);
  const alice = await open(url);
  await shows(alice, 'while away');
  await alice.click('button');
  await send('and now');
  await shows(alice, 'and now');
  // What was seen does not come again.
  const phone = await open(url);
  await shows(phone, 'and now');
  assert.equal(await phone.locator('li').count(), 1);
});

test('jwt_login', async () => {
  const [url] = await run('jwt_login');
  const page = await open(url);
  await page.click('button');
  await shows(page, 'not logged in');
  await page.fill('[name=password]', 'wonderland');
  await page.click('button');
  await shows(page, 'you are alice');
});

test('swap_auth', async () => {
  for (const way of ['raw', 'token', 'ticket', 'either']) {
    const [url] = await run('swap_auth', [way]);
    await shows(await open(url), 'you are alice');
  }
});

test('extractor', async () => {
  const [url] = await run('extractor');
  const page = await open(url);
  await shows(page, 'not logged in');
  await page.click('button');
  await shows(page, 'you are alice');
});

test('store', async () => {
  const [url] = await run('store');
  const [alice, bob] = [await open(url), await open(url.replace('alice', 'bob'))];
  for (const page of [alice, bob]) await shows(page, '2 users are here');
  await bob.close();
  await shows(alice, '1 users are here');
});

test('push_api', async () => {
  const secret = 'a-secret-of-this-test-alone';
  const [url] = await run('push_api', [], 1, { PUSH_SECRET: secret });
  const alice = await connectRaw(`ws://${new URL(url).host}/websocket/alice`);
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ msg: 'hello' }) });
  assert.equal(answer.status, 200);
  await alice.next(({ msg }) => msg === 'hello');
  await alice.close();
});

test('axum', async () => {
  const [url] = await run('axum');
  const [alice, bob] = [await open(url), await open(url.replace('alice', 'bob'))];
  await until(async () => {
    await alice.fill('[name=text]', 'hello');
    await alice.click('button');
    return (await bob.getByText('alice: hello').count()) > 0;
  }, 'bob is connected');
});

test('hyper', async () => {
  const [url] = await run('hyper');
  await (await open(url)).locator('body', { hasText: /\d{10}/ }).waitFor({ timeout: 20_000 });
});

test('cluster', async () => {
  const [one, two] = await run('cluster', [], 2);
  assert.notEqual(new URL(one).port, new URL(two).port);
  const [alice, bob] = [await open(one), await open(two)];
  await until(async () => {
    await alice.fill('[name=text]', 'over there');
    await alice.click('button');
    return (await bob.getByText('alice: over there').count()) > 0;
  }, 'the push crosses');
});
