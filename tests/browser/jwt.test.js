// The demo with --jwt-…: each way to say who signs, and each place where a token may stand.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants, createHmac, createPublicKey, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Demo, PROGRAM, connectRaw, launchChromium, status, within } from './harness.js';

/** @param {string} name */
const path = (name) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
/** @param {string} name */
const fixture = (name) => readFileSync(path(name), 'utf8');

const directory = mkdtempSync(join(tmpdir(), 'keywire-jwt-'));
after(() => rmSync(directory, { recursive: true }));
/** @param {string} name @param {string} text */
function write(name, text) {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

const SECRET = 'a secret that is long enough for all of HS256, HS384 and HS512: 64 bytes';

/** A key that signs, or the secret. @type {Record<string, string>} */
const KEYS = { RS: 'rsa', PS: 'rsa', ES256: 'p256', ES384: 'p384', EdDSA: 'ed25519' };

/** @param {string} alg @param {object} [claims] @param {object} [header] */
function token(alg, claims = {}, header = {}) {
  /** @param {object} part */
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const text = `${encode({ alg, ...header })}.${encode({ sub: 'alice', exp, ...claims })}`;
  const hash = `sha${alg.slice(2)}`;
  let signature;
  if (alg.startsWith('HS')) signature = createHmac(hash, SECRET).update(text).digest();
  else {
    const key = fixture(`${KEYS[alg] ?? KEYS[alg.slice(0, 2)]}.private.pem`);
    const padding = alg.startsWith('PS') ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {};
    signature = sign(alg === 'EdDSA' ? null : hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363', ...padding });
  }
  return `${text}.${signature.toString('base64url')}`;
}

/** The status of the answer to an opening. @param {string} url @param {WebSocket.ClientOptions} [options] @returns {Promise<number>} */
function answer(url, options = {}) {
  const socket = new WebSocket(url, options);
  const answered = new Promise((resolve, reject) => {
    socket.once('open', () => (socket.close(), resolve(101)));
    socket.once('unexpected-response', (request, response) => (request.destroy(), resolve(response.statusCode)));
    socket.once('error', reject);
  });
  return within(answered, `an answer from ${url}`);
}

/** @param {string[]} args @param {(demo: Demo) => Promise<void>} body @param {Record<string, string>} [env] */
async function withDemo(args, body, env = {}) {
  const demo = await Demo.start({ args, env });
  try {
    await body(demo);
  } finally {
    await demo.stop();
  }
}

test('each algorithm, with a secret, a secret in a file or a public key', async () => {
  const file = write('secret', `${SECRET}\n`);
  /** @type {[string, string[]][]} */
  const cases = [['HS256', ['--jwt-secret', SECRET]]];
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    cases.push([alg, ['--jwt-alg', alg, '--jwt-secret', SECRET]], [alg, ['--jwt-alg', alg, '--jwt-key', file]]);
  }
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']) {
    const name = KEYS[alg] ?? KEYS[alg.slice(0, 2)];
    cases.push([alg, ['--jwt-alg', alg, '--jwt-key', path(`${name}.public.pem`)]]);
  }
  for (const [alg, args] of cases) {
    await withDemo(args, async (demo) => {
      assert.equal(await answer(demo.socket(token(alg))), 101, args.join(' '));
      assert.equal(await answer(demo.socket(token(alg === 'ES256' ? 'RS256' : 'ES256'))), 401, args.join(' '));
      assert.equal(await answer(demo.socket('alice')), 401, 'only tokens');
    });
  }
});

test('a token gets in from each of its places', async () => {
  await withDemo(['--jwt-secret', SECRET], async (demo) => {
    const good = token('HS256');
    const socket = demo.socket('').replace(/\/$/, '');
    assert.equal(await answer(`${socket}/${good}`), 101);
    assert.equal(await answer(`${socket}?token=${good}`), 101);
    assert.equal(await answer(socket, { headers: { authorization: `Bearer ${good}` } }), 101);
    assert.equal(await answer(socket, { headers: { cookie: `theme=dark; keywire=${good}` } }), 101);
    assert.equal(await answer(socket), 401);
    assert.equal(await answer(`${socket}?token=${good}`, { headers: { authorization: `Bearer ${good}` } }), 400, 'two of them');
    // Any page of the host may have set the cookie: it decides nothing where there is another credential.
    for (const cookie of [good, 'forged']) {
      assert.equal(await answer(`${socket}/${good}`, { headers: { cookie: `keywire=${cookie}` } }), 101, cookie);
    }
  });
});

test('issuer, audience and leeway are demanded, and the login issues accordingly', async () => {
  const demands = ['--jwt-secret', SECRET, '--jwt-alg', 'HS384', '--jwt-issuer', 'login', '--jwt-audience', 'chat', '--jwt-leeway', '5'];
  await withDemo(demands, async (demo) => {
    const now = Math.floor(Date.now() / 1000);
    const good = { iss: 'login', aud: 'chat' };
    assert.equal(await answer(demo.socket(token('HS384', good))), 101);
    for (const bad of [{ iss: 'login' }, { aud: 'chat' }, { ...good, iss: 'x' }, { ...good, aud: 'x' }, { ...good, exp: now - 10 }]) {
      assert.equal(await answer(demo.socket(token('HS384', bad))), 401, JSON.stringify(bad));
    }
    const issued = await (await demo.post('/login', { key: 'alice' })).json();
    assert.equal(await answer(demo.socket(issued.token)), 101);
  });
});

const jwk = (/** @type {string} */ name, /** @type {object} */ more) => ({
  ...createPublicKey(fixture(`${name}.public.pem`)).export({ format: 'jwk' }),
  ...more,
});
const SET = JSON.stringify({ keys: [jwk('rsa', { kid: 'r', alg: 'RS256', use: 'sig' }), jwk('p256', { kid: 'e' })] });

test('a JWK set in a file', async () => {
  const file = write('keys.json', SET);
  await withDemo(['--jwt-jwks', file], async (demo) => {
    assert.equal(await answer(demo.socket(token('RS256', {}, { kid: 'r' }))), 101);
    assert.equal(await answer(demo.socket(token('ES256', {}, { kid: 'e' }))), 101);
    assert.equal(await answer(demo.socket(token('ES256', {}, { kid: 'r' }))), 401);
    assert.equal(await answer(demo.socket(token('ES256', {}, { kid: 'x' }))), 401);
  });
  await withDemo(['--jwt-jwks', file, '--jwt-alg', 'RS256'], async (demo) => {
    assert.equal(await answer(demo.socket(token('RS256', {}, { kid: 'r' }))), 101);
    assert.equal(await answer(demo.socket(token('ES256', {}, { kid: 'e' }))), 401);
  });
});

test('a JWK set behind TLS, if its authority is one that the system trusts', async () => {
  const server = createServer({ key: fixture('tls-localhost.private.pem'), cert: fixture('tls-localhost.pem') }, (_, answer) => {
    answer.end(SET);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const args = ['--jwt-jwks', `https://localhost:${port}/keys.json`];
  const good = token('RS256', {}, { kid: 'r' });
  try {
    await withDemo(args, async (demo) => assert.equal(await answer(demo.socket(good)), 101), {
      SSL_CERT_FILE: path('tls-authority.pem'),
    });
    // Another authority: nobody knows whose keys these are. The client is told to come back.
    await withDemo(args, async (demo) => assert.equal(await answer(demo.socket(good)), 503), {
      SSL_CERT_FILE: path('tls-other.pem'),
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('where tokens are issued elsewhere the login says so, and the page takes one that is pasted', async () => {
  await withDemo(['--jwt-alg', 'RS256', '--jwt-key', path('rsa.public.pem')], async (demo) => {
    const login = await demo.post('/login', { key: 'alice' });
    assert.equal(login.status, 404);
    assert.match((await login.json()).error, /cannot sign/);

    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.goto(demo.http('/'));
      assert.match(await page.innerText('#next'), /cannot issue/);
      await page.getByLabel('Your token').fill(token('RS256', { sub: 'zoë' }));
      await page.getByRole('button', { name: 'Log in' }).click();
      await status(page, 'open');
      assert.match(await page.innerText('#curl-push'), /\/push\/zo%C3%AB'/);
      await page.reload();
      await status(page, 'open');
      await page.getByRole('button', { name: 'Log out' }).click();
      await status(page, 'closed');
    } finally {
      await browser.close();
    }
  });
});

test('options that contradict each other are refused, and no key is shown', () => {
  const file = write('short', 'hunter2hunter2');
  /** @type {[string[], RegExp][]} */
  const cases = [
    [['--jwt-secret', SECRET, '--jwt-key', file, '--jwt-alg', 'HS256'], /cannot be used with/],
    [['--jwt-secret', SECRET, '--jwt-jwks', file], /cannot be used with/],
    [['--jwt-key', file, '--jwt-alg', 'HS256', '--jwt-jwks', file], /cannot be used with/],
    [['--jwt-key', file], /--jwt-alg <ALG>/],
    [['--jwt-alg', 'HS256'], /--jwt-secret <SECRET>\|--jwt-key <FILE>\|--jwt-jwks/],
    [['--jwt-issuer', 'login'], /--jwt-secret <SECRET>\|--jwt-key <FILE>\|--jwt-jwks/],
    [['--jwt-leeway', '5'], /--jwt-secret <SECRET>\|--jwt-key <FILE>\|--jwt-jwks/],
    [['--jwt-secret', SECRET, '--jwt-alg', 'none'], /not an algorithm/],
    [['--jwt-secret', SECRET, '--jwt-leeway', '100000'], /not in 0\.\.=86400/],
    [['--jwt-secret', SECRET, '--jwt-alg', 'RS256'], /not a key for RS256/],
    [['--jwt-secret', ''], /value is required|empty/],
    [['--jwt-key', file, '--jwt-alg', 'RS256'], /not a public key in PEM/],
    [['--jwt-key', path('rsa.public.pem'), '--jwt-alg', 'ES256'], /not a key for ES256/],
    [['--jwt-key', path('rsa.public.pem'), '--jwt-alg', 'HS256'], /PEM text/],
    [['--jwt-key', path('rsa.private.pem'), '--jwt-alg', 'RS256'], /private key/],
    [['--jwt-key', path('rsa-1024.public.pem'), '--jwt-alg', 'RS256'], /1024 bits/],
    [['--jwt-key', join(directory, 'nowhere'), '--jwt-alg', 'RS256'], /No such file/],
    [['--jwt-jwks', join(directory, 'nowhere')], /cannot read the file/],
    [['--jwt-jwks', file], /not a JWK set/],
    [['--jwt-jwks', write('none.json', SET), '--jwt-alg', 'EdDSA'], /no key in the JWK set/],
    [['--jwt-jwks', 'http://login.example/keys'], /not a URL for keys/],
    [['--jwt-jwks', 'https://login.example/keys', '--jwt-alg', 'HS256'], /secrets are not read from URLs/],
  ];
  for (const [args, words] of cases) {
    const { status, stderr, stdout } = spawnSync(PROGRAM, ['--listen', '127.0.0.1:0', ...args], { encoding: 'utf8', timeout: 20_000 });
    assert.notEqual(status, 0, args.join(' '));
    assert.equal(stdout, '', args.join(' '));
    assert.match(stderr, words, args.join(' '));
    assert.doesNotMatch(stderr, /hunter2|MII|a secret that/, args.join(' '));
  }
});

test('a client of keywire.v1 learns by a close code that its token is not good', async () => {
  await withDemo(['--jwt-alg', 'ES256', '--jwt-key', path('p256.public.pem')], async (demo) => {
    const old = await connectRaw(demo.socket(token('ES256', { exp: 1 })), ['keywire.v1']);
    assert.equal(/** @type {any} */ (await old.closed).code, 4001);
    const wrong = await connectRaw(demo.socket(token('RS256')), ['keywire.v1']);
    assert.equal(/** @type {any} */ (await wrong.closed).code, 4501);
  });
});
