// docs/reference/asyncapi.yaml: it is AsyncAPI, a running server keeps to it, and each lie in it would be noticed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Ajv } from 'ajv';
import WebSocket from 'ws';
import { Schemas, nodes, read, resolvable } from './asyncapi.js';
import { returns } from './close_codes.js';
import { Demo, Raw, connectRaw, within } from './harness.js';
import { Redis } from './redis.js';
import { SECRET, token } from './tokens.js';

const document = resolvable(read());
const schemas = new Schemas(document);

/** What the server sent, and which message of the document it is. @type {[message: string, frame: any][]} */
const sent = [];
/** What it was sent, and whether it understood. @type {[message: string, frame: any, understood: boolean][]} */
const taken = [];

/** @type {Redis} */
let redis;
/** Without a log, with raw keys; with tokens and a log of three pushes; and a node of a cluster. @type {Demo[]} */
let demos = [];

before(async () => {
  redis = new Redis();
  await redis.start();
  demos = [
    await Demo.start(),
    await Demo.start({ args: ['--jwt-secret', SECRET, '--log', 'memory', '--log-entries', '3'] }),
    await Demo.start({ args: ['--redis', redis.url] }),
  ];
  await pushes();
  await requests();
  await log();
  await cluster();
  await envelopes();
});
after(async () => {
  for (const demo of demos) await demo.stop();
  await redis?.stop();
});

const soon = Date.now() / 1000 + 600;

/** The next push with this id. @param {Raw} raw @param {number | string} id */
const reply = (raw, id) => raw.next((push) => push.id === id);

/** @param {Raw} raw @param {string} message @param {any} envelope */
async function ask(raw, message, envelope) {
  raw.send(envelope);
  const push = await reply(raw, envelope.id);
  sent.push([message, push]);
  return push;
}

/** What the application sends, the errors, and `kw:refresh`. */
async function pushes() {
  const [plain, tokens] = demos;
  const alice = await connectRaw(plain.socket('alice'));
  await ask(alice, 'pong', { flag: 'kw:ping', id: 'p' });
  await ask(alice, 'push', { flag: 'inform', reception: 'alice', body: { any: [1] }, id: 1 });
  await ask(alice, 'push', { flag: 'inform', reception: 'bob', body: 'absent', id: 2 });
  await ask(alice, 'push', { flag: 'command', body: { do: 'mine', difficulty: 8 }, id: 'mine' });
  await ask(alice, 'push', { flag: 'watch', id: 3 });
  await ask(alice, 'error', { flag: 'dance', id: 4 });
  await ask(alice, 'error', { flag: 'kw:dance', id: 5 });
  await ask(alice, 'error', { flag: 'kw:seen', body: '0.0000000000000000', id: 6 });
  await ask(alice, 'error', { flag: 'kw:refresh', body: 'new', id: 7 });
  await ask(alice, 'error', { flag: 'inform', reception: 5, id: 8 });
  alice.send({ flag: 'dance' });
  sent.push(['error', await alice.next(({ code, id }) => code === '44' && id === undefined)]);
  alice.send({ flag: 'kw:ping' });
  sent.push(['pong', await alice.next(({ flag, id }) => flag === 'kw:pong' && id === undefined)]);
  await plain.post('/push/alice', { msg: 'hello', data: null });
  await plain.post('/broadcast', { code: '17', msg: '', data: 'x', flag: 'news' });
  await alice.next((push) => push.flag === 'news');
  const pushed = alice.messages.filter(({ code, flag, id }) => id === undefined && code !== '44' && flag !== 'kw:pong');
  for (const frame of pushed) sent.push(['push', frame]);
  await alice.close();

  const flood = new WebSocket(plain.socket('flood'));
  const raw = new Raw(flood);
  await once(flood, 'open');
  // 200 a second are allowed beyond the burst of 2000, if this machine is slow.
  for (let n = 0; n < 4000; n += 1) raw.send({ flag: 'kw:ping', id: n });
  const refused = await raw.next((push) => push.code === '29');
  sent.push(['error', refused], ['pong', raw.messages.find((push) => push.code === '00')]);
  await raw.close();

  const carol = await connectRaw(tokens.socket(token('carol', soon)));
  await ask(carol, 'done', { flag: 'kw:refresh', body: token('carol', soon + 60), id: 1 });
  await ask(carol, 'error', { flag: 'kw:refresh', body: 5, id: 2 });
  await ask(carol, 'error', { flag: 'kw:refresh', body: 'wrong', id: 3 });
  carol.send({ flag: 'kw:refresh', body: token('carol', soon + 60) });
  sent.push(['done', await carol.next(({ id }) => id === undefined)]);
  await carol.close();
}

/** Requests to a client, and its answers. */
async function requests() {
  const raw = await connectRaw(demos[0].socket('gina'), ['keywire.v1', 'answers.keywire']);
  for (const [data, field] of /** @type {const} */ ([[7, 'body'], [undefined, 'body'], [null, 'error']])) {
    const asking = demos[0].post('/ask/gina', { flag: 'who', data });
    const request = await raw.next(({ ask }) => ask);
    const answer = { flag: 'kw:answer', id: request.id, [field]: 'me' };
    raw.send(answer);
    const [told] = await (await asking).json();
    sent.push(['ask', request]);
    taken.push(['answer', answer, JSON.stringify(told).includes('me')]);
  }
  await raw.close();
}

/** What a server with a log sends. */
async function log() {
  const demo = demos[1];
  const keep = async (/** @type {object} */ push) => {
    const headers = { authorization: `Bearer ${token('carol', soon)}` };
    const answer = await fetch(demo.http('/push/dora'), { method: 'POST', headers, body: JSON.stringify({ keep: true, ...push }) });
    assert.equal(answer.status, 200);
  };
  const open = (/** @type {string} */ from) =>
    connectRaw(demo.socket(token('dora', soon)), ['keywire.v1', `from.keywire.${from}`]);

  const dora = await open('now');
  await keep({ msg: 'paid', flag: 'order', id: 5 });
  await keep({ msg: '', data: { total: 7 } });
  const first = await dora.next((push) => push.at);
  const second = await dora.next((push) => push.at);
  sent.push(['from', dora.messages.find(({ flag }) => flag === 'kw:from')], ['keptPush', first], ['keptPush', second]);
  await ask(dora, 'done', { flag: 'kw:seen', body: first.at, id: 'seen' });
  for (const n of [3, 4, 5]) await keep({ msg: `push ${n}` });
  await ask(dora, 'entries', { flag: 'kw:read', body: { after: first.at, limit: 1 }, id: 'read' });
  const reset = '5.0123456789abcdef';
  await ask(dora, 'entries', { flag: 'kw:read', body: { after: reset }, id: 'reset' });
  await ask(dora, 'entries', { flag: 'kw:read', body: { after: 'unread' }, id: 'unread' });
  dora.send({ flag: 'kw:read', body: {} });
  sent.push(['entries', await dora.next(({ flag, id }) => flag === 'kw:read' && id === undefined)]);
  await ask(dora, 'error', { flag: 'kw:read', body: 'all', id: 'wrong' });
  await dora.close();

  for (const from of [first.at, reset]) {
    const late = await open(from);
    sent.push(['from', await late.next(({ flag }) => flag === 'kw:from')]);
    await late.close();
  }

  // A page that does not read until the log has lost what comes next for it.
  const slow = await open('now');
  slow.socket.pause();
  for (let n = 0; n < 250; n += 1) await keep({ msg: 'x'.repeat(60_000) });
  slow.socket.resume();
  sent.push(['gap', await slow.next(({ flag }) => flag === 'kw:gap')]);
  await slow.close();
  const again = await open('now');
  sent.push(['from', await again.next(({ flag }) => flag === 'kw:from')]);
  await again.close();
}

/** A push to a group, and a kept push of the server itself. */
async function cluster() {
  const follower = await connectRaw(demos[2].socket('frank'), ['keywire.v1', 'from.keywire.now']);
  // What is kept before the connection knows its position is not for it.
  await follower.next((push) => push.flag === 'kw:from');
  await demos[2].post('/push/frank', { msg: 'kept', keep: true });
  sent.push(['keptPush', await follower.next((push) => push.at)]);
  await follower.close();
  const raw = await connectRaw(demos[2].socket('watcher'));
  raw.send({ flag: 'watch', id: 1 });
  await connectRaw(demos[2].socket('other'));
  await raw.next((push) => push.group);
  for (const frame of raw.messages) sent.push(['push', frame]);
  await raw.close();
}

/** Bodies, receptions and ids: each alone in an envelope, and each in a message of keywire's own. */
const key = 'k'.repeat(256);
const values = [
  undefined, null, '', 'bob', 'häß lich', 'two  spaces', ' bob', 'bob ', 'two\nlines', '\u0000', 'no\u00a0break', key, `${key}k`, 'ä'.repeat(128),
  'ä'.repeat(129), 'i'.repeat(64), 'i'.repeat(65), 'ä'.repeat(32), 'ä'.repeat(33), 0, -7, 1.5, 2 ** 53 - 1, 2 ** 53, -(2 ** 53 - 1), -(2 ** 53),
  true, [], {}, [null, 5], { after: 'unread' }, { after: 'all' }, { after: null, limit: null }, { limit: 0 }, { limit: 5000 }, { limit: -1 },
  { limit: 1.5 }, { limit: '5' }, { after: 5 }, { after: '0.0000000000000000', more: 1 }, '0.0000000000000000', '41.9f3cab12d45e6f70',
  '041.9f3cab12d45e6f70', '41.9F3CAB12D45E6F70', '41.9f3cab12d45e6f7', '41', `${'9'.repeat(19)}.9f3cab12d45e6f70`,
  { after: '41.9f3cab12d45e6f70' }, { after: '041.9f3cab12d45e6f70' }, nested(62), nested(63), nested(64), { deep: nested(63) },
];

/** @param {number} levels @returns {unknown} */
function nested(levels) {
  return levels ? [nested(levels - 1)] : [];
}

/** What the server makes of envelopes of all kinds. */
async function envelopes() {
  const own = { ping: 'kw:ping', refresh: 'kw:refresh', seen: 'kw:seen', read: 'kw:read' };
  /** @type {[string, unknown][]} */
  const frames = ['dance', 'kw:dance', undefined, null, 5, ['dance'], { dance: 1 }, ''].map((flag) => ['envelope', { flag, body: 1 }]);
  for (const value of values) {
    for (const field of ['body', 'reception', 'id', 'sender', 'more']) frames.push(['envelope', { flag: 'dance', [field]: value }]);
    frames.push(['envelope', value]);
    for (const [message, flag] of Object.entries(own)) {
      frames.push([message, { flag, body: value }]);
      const body = { refresh: 'wrong', seen: '0.0000000000000000', read: {} }[message];
      frames.push([message, { flag, body, id: value }], [message, { flag, body, more: value }]);
    }
  }
  // Ten refreshes a minute are allowed, so each connection makes a few.
  let raw = await connectRaw(demos[1].socket(token('eve', soon)));
  for (const [n, [message, frame]] of frames.entries()) {
    if (frame === undefined) continue;
    if (n % 40 === 39) {
      await raw.close();
      raw = await connectRaw(demos[1].socket(token('eve', soon)));
    }
    const before = raw.messages.length;
    raw.send(JSON.stringify(frame));
    raw.send({ flag: 'inform', reception: 'eve', body: `after ${n}` });
    await raw.next(({ msg }) => msg === `after ${n}`);
    const answers = raw.messages.slice(before);
    assert.ok(answers.every(({ code }) => code !== '29'), 'too many messages say nothing');
    taken.push([message, frame, answers.every(({ code, msg }) => code !== '40' && !/^no such flag/.test(msg))]);
  }
  await raw.close();
}

/** The frames that contradict a document, and how. @param {Schemas} schemas */
function* contradictions(schemas) {
  for (const [message, frame] of sent) {
    const fault = schemas.fault(message, frame);
    if (fault) yield { message, frame, fault };
  }
  for (const [message, frame, understood] of taken) {
    const fault = schemas.fault(message, frame);
    if ((fault === '') !== understood) yield { message, frame, fault, understood };
  }
}

test('it is AsyncAPI 3, its references lead somewhere, and its examples fit', () => {
  const specification = createRequire(import.meta.url)('@asyncapi/specs').schemasWithoutId['3.0.0'];
  const validate = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(specification);
  const raw = read();
  assert.ok(validate(raw), JSON.stringify(validate.errors?.slice(0, 3)));
  for (const [path, { $ref }] of nodes(raw)) {
    /** @type {any} */
    const target = $ref?.split('/').slice(1).reduce((/** @type {any} */ at, /** @type {string} */ name) => at?.[name], raw);
    assert.ok($ref === undefined || target, `${path.join('.')}: ${$ref}`);
  }
  for (const [message, { examples }] of Object.entries(document.components.messages)) {
    for (const { payload } of examples) assert.equal(schemas.fault(message, payload), '', message);
  }
});

test('a running server keeps to it, in both directions', () => {
  assert.deepEqual([...contradictions(schemas)], []);
  const messages = new Set([...sent, ...taken].map(([message]) => message));
  assert.deepEqual([...messages].sort(), Object.keys(document.components.messages).sort());
});

test('its close codes and refusals are those of the protocol, and of the server', async () => {
  const { 'x-close-codes': codes, 'x-refusals': refusals } = document.channels.websocket;
  for (const { code, retry } of codes) assert.equal(retry, returns(code), code);
  const known = new Set(codes.map((/** @type {any} */ { code }) => code));
  for (const { error, close } of refusals) assert.ok(known.has(close), error);

  const demo = demos[1];
  const path = (/** @type {string} */ path) => `ws://${demo.url.host}/websocket${path}`;
  /** @type {[string, string, object][]} */
  const openings = [
    ['missing', path(''), {}],
    ['invalid', path('/wrong'), {}],
    ['expired', path(`/${token('alice', soon - 3600)}`), {}],
    ['malformed', path(`/${token('alice', soon)}?token=another`), {}],
    ['forbidden', path(`/${token('alice', soon)}`), { origin: 'https://elsewhere.example' }],
  ];
  for (const [error, url, options] of openings) {
    const { status, close } = refusals.find((/** @type {any} */ refusal) => refusal.error === error);
    const plain = new WebSocket(url, options);
    plain.once('error', () => {});
    const [, response] = await within(once(plain, 'unexpected-response'), error);
    assert.deepEqual([response.statusCode, await new Response(response).json()], [status, { error }], error);
    const told = new Raw(new WebSocket(url, ['keywire.v1'], options));
    assert.deepEqual(await within(told.closed, error), { code: close, reason: error });
  }
});

/** Lies that no frame of the demo contradicts, and why. */
const UNSEEN = [
  // The demo keeps no pushes of groups.
  /^KeptPush: without the field group/,
  // The demo asks users alone, and in nobody's name.
  /^Ask: without the field (sender|group)/,
  // A handler that fails, a log that is away, and an extractor that forbids a key: the demo has none.
  /^Error.properties.code: without (43|50)/,
  // The server may reject nothing of these: each has a second rule that says the same, or the flag alone chose the schema.
  /^(Key|Id.anyOf.0): without (minLength|maxLength)/,
  /^(Ping|Refresh|Seen|Read): without (type|required flag)/,
  /^(Ping|Refresh|Seen|Read).properties.flag: without const/,
  /^Position: without type/,
];

test('a lie in it would be noticed', () => {
  const { schemas: all } = document.components;
  /** @type {[string, (copy: any) => void][]} */
  const lies = [];
  for (const [name, schema] of Object.entries(all)) {
    for (const [path, node] of nodes(schema, [name])) {
      const lie = (/** @type {string} */ what, /** @type {(node: any) => void} */ change) => {
        lies.push([`${path.join('.')}: ${what}`, (copy) => change(path.reduce((at, name) => at[name], copy.components.schemas))]);
      };
      if (path.at(-1) === 'properties' || path.includes('examples')) continue;
      if (node.additionalProperties === false) {
        lie('another required field', (node) => {
          node.properties.nonsense = {};
          node.required.push('nonsense');
        });
        for (const field of Object.keys(node.properties)) lie(`without the field ${field}`, (node) => {
          delete node.properties[field];
          node.required = node.required.filter((/** @type {string} */ name) => name !== field);
        });
        for (const field of Object.keys(node.properties)) {
          if (!node.required.includes(field)) lie(`${field} is required`, (node) => node.required.push(field));
        }
      }
      if (node.const !== undefined) lie('another const', (node) => (node.const += 'x'));
      for (const value of node.enum ?? []) lie(`without ${value}`, (node) => (node.enum = node.enum.filter((/** @type {any} */ is) => is !== value)));
      // What a client sends: each rule has to refuse something.
      if (!['Envelope', 'Ping', 'Refresh', 'Seen', 'Read', 'Key', 'Id', 'OptionalId', 'Position'].includes(name)) continue;
      for (const rule of ['type', 'const', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'anyOf', 'x-max-bytes', 'x-max-depth']) {
        if (rule in node) lie(`without ${rule}`, (node) => delete node[rule]);
      }
      for (const field of node.required ?? []) lie(`without required ${field}`, (node) => {
        node.required = node.required.filter((/** @type {string} */ name) => name !== field);
      });
    }
  }
  assert.ok(lies.length > 100, `${lies.length} lies`);
  const believed = lies.filter(([, change]) => {
    const copy = structuredClone(document);
    change(copy);
    return contradictions(new Schemas(copy)).next().done;
  });
  const unexpected = believed.map(([lie]) => lie).filter((lie) => !UNSEEN.some((known) => known.test(lie)));
  assert.deepEqual(unexpected, []);
});
