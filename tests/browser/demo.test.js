// What the demo must not let others do: look like the server or like oneself, post for a page of theirs, push without a
// token, frame the page.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Demo, connectRaw, launchChromium, open, say, within } from './harness.js';

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
/** @type {import('playwright-core').BrowserContext} */
let context;

before(async () => {
  browser = await launchChromium();
  demo = await Demo.start();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});
beforeEach(async () => {
  context = await browser.newContext();
});
afterEach(() => context.close());

/** Who a message is from, in the feed and in its toast. @param {import('playwright-core').Page} page @param {string} text */
async function from(page, text) {
  const names = [];
  for (const place of ['#feed li', '.toast']) {
    names.push(await page.locator(place, { hasText: text }).first().locator('.meta b').textContent());
  }
  return names;
}

test('a user called "server" or "you" looks like neither', async () => {
  const alice = await open(context, demo, 'alice');
  for (const name of ['server', 'you', '@you']) {
    const other = await open(context, demo, name);
    await say(other, 'alice', `from ${name}.`);
    assert.deepEqual(await from(alice, `from ${name}.`), [`@${name}`, `@${name}`]);
  }
  await demo.post('/push/alice', { msg: 'from the server' });
  assert.deepEqual(await from(alice, 'from the server'), ['server', 'server']);
  await say(alice, 'alice', 'from alice');
  assert.deepEqual(await from(alice, 'from alice'), ['you', 'you']);
});

test('a key that would be shown as another one is refused', async () => {
  for (const key of ['alice\u202e', 'al\u200bice', 'alice\u2028', 'alice ', '\u2067alice', '\u3164']) {
    await assert.rejects(connectRaw(demo.socket(key)), /refused with 400/, JSON.stringify(key));
    assert.equal((await demo.post(`/push/${encodeURIComponent(key)}`, { msg: '' })).status, 400);
  }
});

/** The status of a POST with these headers, which no browser could be made to send. @param {string} path @param {Record<string, string>} headers */
async function post(path, headers, body = '{"msg":"hello"}') {
  const asked = request(demo.http(path), { method: 'POST', headers: { 'content-length': String(body.length), ...headers } });
  asked.end(body);
  const [answer] = /** @type {[import('node:http').IncomingMessage]} */ (await within(once(asked, 'response'), path));
  answer.resume();
  return answer.statusCode;
}

test('a page of another origin may not post, whichever header tells', async () => {
  const own = demo.url.host;
  for (const path of ['/push/alice', '/broadcast', '/login']) {
    const allowed = path === '/login' ? 404 : 200;
    const body = path === '/login' ? '{"key":"alice"}' : '{"msg":"hello"}';
    for (const headers of /** @type {Record<string, string>[]} */ ([
      {},
      { origin: `http://${own}` },
      { origin: `https://${own}` },
      { origin: `http://${own}`, 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      { origin: 'http://demo.lan', host: 'DEMO.lan:80' },
    ])) {
      assert.equal(await post(path, headers, body), allowed, JSON.stringify(headers));
    }
    for (const headers of /** @type {Record<string, string>[]} */ ([
      { origin: 'http://evil.example' },
      { origin: `http://${own}.evil.example` },
      { origin: `http://evil.example:${demo.url.port}` },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'null' },
      { origin: own },
      { origin: '' },
      { origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: `http://${own}`, 'sec-fetch-site': 'cross-site' },
    ])) {
      assert.equal(await post(path, headers, body), 403, `${path} ${JSON.stringify(headers)}`);
    }
  }
});

test('a real page of another origin does not get its post through over plain http', async () => {
  const alice = await open(context, demo, 'alice');
  /** @type {import('node:http').IncomingHttpHeaders[]} */
  const posts = [];
  // Gives both sites names of their own. To those a browser sends no `Sec-Fetch-Site`, as it does to localhost.
  const proxy = createServer((incoming, answer) => {
    const { hostname, pathname } = new URL(String(incoming.url));
    if (hostname === 'evil.test') return answer.setHeader('content-type', 'text/html').end('<title>evil</title>');
    posts.push(incoming.headers);
    const { method, headers } = incoming;
    const forward = request(demo.http(pathname), { method, headers }, (got) => got.pipe(answer.writeHead(got.statusCode ?? 500)));
    return incoming.pipe(forward);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
  const foreign = await browser.newContext({ proxy: { server: `http://127.0.0.1:${port}` } });
  try {
    const page = await foreign.newPage();
    await page.goto('http://evil.test/');
    await page.evaluate(() => fetch('http://demo.test/broadcast', { method: 'POST', mode: 'no-cors', body: '{"msg":"gotcha"}' }));
    assert.deepEqual(posts.map((headers) => [headers.origin, headers['sec-fetch-site']]), [['http://evil.test', undefined]]);
    await demo.post('/broadcast', { msg: 'after it' });
    await from(alice, 'after it');
    assert.equal(await alice.locator('#feed li', { hasText: 'gotcha' }).count(), 0);
  } finally {
    await foreign.close();
    proxy.close();
  }
});

test('where only tokens get in, to push takes one, and it comes from its user', async () => {
  const tokens = await Demo.start({ args: ['--jwt-secret', 'a secret that is long enough for HS256'] });
  try {
    const { token } = await (await tokens.post('/login', { key: 'bob' })).json();
    const alice = await connectRaw(tokens.socket((await (await tokens.post('/login', { key: 'alice' })).json()).token));
    /** @param {string} path @param {Record<string, string>} headers */
    const push = (path, headers) =>
      fetch(tokens.http(path), { method: 'POST', headers, body: JSON.stringify({ msg: path, sender: 'eve' }) });
    for (const path of ['/push/alice', '/broadcast']) {
      for (const authorization of ['', 'Bearer', 'Bearer ', `Basic ${token}`, `Bearer ${token}x`, token]) {
        const refused = await push(path, authorization ? { authorization } : {});
        assert.equal(refused.status, 401, `${path} ${authorization}`);
        assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
        assert.ok(!(await refused.text()).includes(token));
      }
      assert.equal((await push(path, { authorization: `bearer ${token}` })).status, 200);
      const got = await alice.next();
      assert.deepEqual([got.msg, got.sender], [path, 'bob']);
    }
    const page = await context.newPage();
    await page.goto(tokens.http('/'));
    assert.match(String(await page.textContent('#curl-push')), /Bearer \$TOKEN/);
  } finally {
    await tokens.stop();
  }
});

test('no other page may frame it', async () => {
  const policy = String((await fetch(demo.http('/'))).headers.get('content-security-policy'));
  for (const rule of ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]) assert.ok(policy.includes(rule), policy);
  const frames = ['/', '/healthz'].map((path) => `<iframe src="${demo.http(path)}"></iframe>`).join('');
  const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(frames));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    const shown = page.frames().slice(1).map((frame) => frame.url());
    // What is no page shows that frames work at all.
    assert.deepEqual(shown, ['chrome-error://chromewebdata/', demo.http('/healthz')]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
