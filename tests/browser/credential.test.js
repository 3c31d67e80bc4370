// Where a credential comes from and where it goes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, create, last, opened, pass, run, settle } from './fake.js';

test('the credential goes into the path, escaped, and is asked for at each attempt', async () => {
  let n = 0;
  const { wire } = create({ key: async () => `a/b?${(n += 1)}#é` });
  wire.connect();
  await settle();
  assert.equal(last().url, 'ws://host/websocket/a%2Fb%3F1%23%C3%A9');
  assert.deepEqual(last().protocols, ['keywire.v1', 'answers.keywire']);
  last().end();
  await pass(1000);
  assert.equal(last().url, 'ws://host/websocket/a%2Fb%3F2%23%C3%A9');

  for (const [url, key, expected] of /** @type {[string, string | undefined, string][]} */ ([
    ['http://host/ws/', 'k', 'ws://host/ws/k'],
    ['https://host/ws?room=1#top', 'k', 'wss://host/ws/k?room=1'],
    ['wss://host/ws', undefined, 'wss://host/ws'],
  ])) {
    create({ key }, url).wire.connect();
    await settle();
    assert.equal(last().url, expected);
  }
});

test('a credential that cannot be had is an error, and another try later', async () => {
  let fails = true;
  const { wire, seen } = create({
    key: () => {
      if (fails) throw new Error('login is down');
      return 'alice';
    },
  });
  wire.connect();
  await settle();
  assert.equal(wire.status, 'waiting');
  assert.equal(seen('error')[0].message, 'login is down');
  assert.equal(FakeSocket.all.length, 0);
  fails = false;
  await pass(1000);
  last().accept();
  assert.equal(wire.status, 'open');
});

/** @param {object} claims */
const jwt = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

test('a credential goes into the query or the subprotocols as well', async () => {
  const strange = 'a/b+c=?é€😀>>>';
  const encoded = Buffer.from(strange).toString('base64url');
  /** @type {[object, string, string[]][]} */
  const cases = [
    [{ via: 'query' }, `ws://host/websocket?room=1&token=${encodeURIComponent(strange).replaceAll('%20', '+')}`, []],
    [{ via: 'query', param: 'key' }, `ws://host/websocket?room=1&key=${encodeURIComponent(strange)}`, []],
    [{ via: 'protocol' }, 'ws://host/websocket?room=1', [`base64url.bearer.keywire.${encoded}`]],
  ];
  for (const [options, url, more] of cases) {
    create({ key: { token: strange }, ...options }, 'ws://host/websocket?room=1').wire.connect();
    await settle();
    assert.equal(last().url, url);
    assert.deepEqual(last().protocols, ['keywire.v1', 'answers.keywire', ...more]);
    assert.match(last().protocols.join(''), /^[\w.-]+$/);
  }
});

/**
 * Connected with a credential from a function, of which each is told how it was answered.
 * @param {() => import('../../client/keywire.js').Credential} next @param {object} [options]
 */
async function renewing(next, options) {
  let asked = 0;
  const made = await opened({ heartbeat: 0, key: async () => { asked += 1; return next(); }, ...options });
  made.wire.on('*', () => assert.fail('a page has no business with this'));
  const answer = (code = '00') => {
    last().push({ code, msg: 'x', id: last().sent.at(-1).id });
    return settle();
  };
  return { ...made, asked: () => asked, answer };
}

const HOUR = 3_600_000;

test('a token is exchanged for a fresh one before it ends', async () => {
  for (const next of [
    () => jwt({ sub: 'é', exp: (Date.now() + HOUR) / 1000 }),
    () => ({ token: 'opaque', expiresAt: Date.now() + HOUR }),
    () => ({ token: 'opaque', expiresAt: new Date(Date.now() + HOUR) }),
    // What is said beside the token counts.
    () => ({ token: jwt({ exp: 1 }), expiresAt: Date.now() + HOUR }),
  ]) {
    const { wire, asked, answer, seen } = await renewing(next);
    for (let n = 1; n < 4; n += 1) {
      await pass(HOUR - 60_001);
      assert.deepEqual([asked(), last().sent.length], [n, n - 1]);
      await pass(1);
      const { flag, body } = last().sent.at(-1);
      assert.deepEqual([asked(), flag, typeof body], [n + 1, 'kw:refresh', 'string']);
      await answer();
    }
    assert.deepEqual([wire.status, seen('error'), seen('notice')], ['open', [], []]);
    wire.close();
    await pass(2 * HOUR);
    assert.equal(asked(), 4);
  }
});

test('a short life is used for three quarters', async () => {
  const { asked } = await renewing(() => ({ token: 't', expiresAt: Date.now() + 40_000 }));
  await pass(29_999);
  assert.equal(asked(), 1);
  await pass(1);
  assert.equal(asked(), 2);
});

test('what cannot be exchanged is left alone', async () => {
  for (const next of [
    () => 'a-raw-key',
    () => 'not.a.token',
    () => jwt({ sub: 'alice' }),
    () => jwt({ exp: 'soon' }),
    () => jwt({ exp: Date.now() / 1000 - 5 }),
    () => ({ token: 't', expiresAt: NaN }),
  ]) {
    const { asked } = await renewing(next);
    await pass(2 * HOUR);
    assert.deepEqual([asked(), last().sent], [1, []]);
  }
  // Nor one that was written down once.
  const { wire } = await opened({ heartbeat: 0, key: jwt({ exp: (Date.now() + HOUR) / 1000 }) });
  await pass(2 * HOUR);
  assert.deepEqual([wire.status, last().sent], ['open', []]);
});

test('an end that is far away does not overflow the timer', async () => {
  const { asked, answer } = await renewing(() => ({ token: 't', expiresAt: Date.now() + 10_000 * HOUR }));
  await pass(2 ** 31 - 2);
  assert.equal(asked(), 1);
  await pass(1);
  await answer();
  assert.equal(asked(), 2);
});

test('an exchange that fails is an error, tried again while there is time, and then there is the way back', async () => {
  const end = Date.now() + 400_000;
  /** @type {(() => string)[]} */
  const answers = [() => 'first', () => { throw new Error('login is down'); }, () => 'second', () => 'third'];
  const next = () => ({ token: (answers.shift() ?? (() => 'more'))(), expiresAt: end });
  const { wire, asked, answer, seen } = await renewing(next);
  await pass(340_000);
  assert.deepEqual([asked(), last().sent.length], [2, 0]);
  assert.equal(seen('error')[0].message, 'login is down');
  await pass(45_000);
  assert.equal(last().sent[0].body, 'second');
  await answer('41');
  assert.match(seen('error')[1].message, /refused: 41/);
  await pass(11_250);
  assert.equal(last().sent[1].body, 'third');
  // No answer at all, and it ends.
  last().end(4001);
  await settle();
  assert.deepEqual([wire.status, seen('error').length], ['waiting', 2]);
  const before = asked();
  await pass(1000);
  assert.equal(asked(), before + 1);
});

test('no credential is none, whether it is undefined or null', async () => {
  for (const key of [undefined, null, () => undefined, () => null, async () => null]) {
    const { wire, seen } = create({ key });
    wire.connect();
    await settle();
    assert.equal(last().url, 'ws://host/websocket', String(key));
    assert.deepEqual(seen('error'), []);
  }
});

test('a credential of a wrong kind is an error that does not show it, and no hot loop', async () => {
  const secret = 's3cret';
  /** @type {[unknown, RegExp][]} */
  const cases = [
    ...[
      '', 0, 5, NaN, true, false, 7n, Symbol(secret), {}, [], [secret], new Map([[secret, secret]]), { token: null }, { token: '' },
      { token: 5 }, { token: { token: secret } }, { Token: secret }, new Date(), Promise.resolve(secret),
    ].map((wrong) => /** @type {[unknown, RegExp]} */ ([wrong, /neither a string nor a { token }/])),
    [() => { throw new Error('login is down'); }, /login is down/],
    [() => Promise.reject(new Error('login is down')), /login is down/],
    [() => Promise.reject(undefined), /no credential/],
    [() => ({ get token() { throw new Error('a broken getter'); } }), /a broken getter/],
    [() => '\ud800', /URI malformed/],
    ['.', /cannot stand in a path/],
    ['..', /cannot stand in a path/],
  ];
  for (const [given, expected] of cases) {
    const kinds = typeof given === 'function' || given instanceof Promise ? [given] : [given, () => given, async () => given];
    for (const key of kinds) {
      FakeSocket.all = [];
      const { wire, seen } = create({ key: /** @type {any} */ (key) });
      wire.connect();
      await run(60_000, 250);
      const errors = seen('error');
      assert.match(String(errors[0]?.message ?? errors[0]), expected);
      assert.doesNotMatch(errors.map(String).join(), /s3cret/);
      assert.ok(errors.length >= 5 && errors.length <= 10, `${errors.length} attempts in a minute`);
      assert.equal(FakeSocket.all.length, 0);
      assert.deepEqual(seen('close')[0], { code: 1006, reason: '', final: false });
      wire.close();
    }
  }
});

test('dots alone are a credential everywhere but in a path', async () => {
  for (const via of /** @type {const} */ (['query', 'protocol'])) {
    create({ key: '..', via }).wire.connect();
    await settle();
    assert.match(last().url, /^ws:\/\/host\/websocket/);
  }
});

test('a fresh credential that never comes, or is none, is an error, and asked for again', async () => {
  for (const [never, expected] of /** @type {[() => any, RegExp][]} */ ([
    [() => new Promise(() => {}), /no fresh credential in time/],
    [() => null, /no fresh credential/],
    [() => 5, /neither a string nor/],
    [() => Promise.reject(undefined), /no fresh credential/],
  ])) {
    /** @type {AbortSignal[]} */
    const signals = [];
    const { wire, seen } = await opened({
      heartbeat: 0,
      key: (signal) => {
        signals.push(signal);
        return signals.length === 2 ? never() : { token: 't', expiresAt: performance.now() + 400_000 };
      },
    });
    await pass(340_000);
    assert.deepEqual([signals.length, signals[1].aborted], [2, false]);
    await pass(10_000);
    assert.equal(seen('error').length, 1);
    assert.match(String(seen('error')[0].message), expected);
    await pass(60_000);
    assert.deepEqual([signals.length, last().sent.map(({ body }) => body)], [3, ['t']]);
    if (expected.source.includes('in time')) assert.equal(signals[1].aborted, true, 'nobody waits for it any more');
    wire.close();
  }
});
