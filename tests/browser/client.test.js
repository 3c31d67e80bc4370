// The client alone, with a WebSocket that is not one and a clock that stands still until it is told.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Keywire } from '../../client/keywire.js';

/** @typedef {import('../../client/keywire.js').Options} Options */

class FakeSocket extends EventTarget {
  static OPEN = 1;
  /** @type {FakeSocket[]} */
  static all = [];
  readyState = 0;
  /** @type {any[]} */
  sent = [];
  /** @type {number | undefined} */
  closedWith;

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    super();
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  /** @param {string} text */
  send(text) {
    assert.equal(this.readyState, FakeSocket.OPEN, 'sent into a socket that is not open');
    this.sent.push(JSON.parse(text));
  }

  /** @param {number} code */
  close(code) {
    this.closedWith = code;
    this.readyState = 2;
  }

  /** The server's side. */
  accept() {
    this.readyState = FakeSocket.OPEN;
    this.dispatchEvent(new Event('open'));
  }

  /** @param {unknown} message */
  push(message) {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }

  end(code = 1006, reason = '') {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
  }
}

/** What the page would be. */
const page = new EventTarget();
let listening = 0;
/** What Math.random says next. */
let chance = 0.5;
/** @type {Keywire[]} */
let wires = [];

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', () => chance);
  Object.assign(globalThis, {
    WebSocket: FakeSocket,
    addEventListener: (/** @type {[string, () => void]} */ ...args) => {
      listening += 1;
      page.addEventListener(...args);
    },
    removeEventListener: (/** @type {[string, () => void]} */ ...args) => {
      listening = 0;
      page.removeEventListener(...args);
    },
  });
  FakeSocket.all = [];
  chance = 0.5;
  wires = [];
});

afterEach(() => {
  for (const wire of wires) wire.close();
  mock.timers.reset();
  mock.restoreAll();
});

const online = () => page.dispatchEvent(new Event('online'));

/** Lets what is promised happen. */
const settle = async () => {
  for (let i = 0; i < 10; i += 1) await null;
};

/** @param {number} ms */
const pass = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

/** @returns {FakeSocket} */
const last = () => /** @type {FakeSocket} */ (FakeSocket.all.at(-1));

/** @param {Options} [options] */
function create(options) {
  const wire = new Keywire('ws://host/websocket', options);
  /** @type {any[]} */
  const log = [];
  for (const type of /** @type {const} */ (['open', 'close', 'status', 'error', 'notice'])) {
    wire.addEventListener(type, ({ detail }) => log.push([type, detail]));
  }
  wires.push(wire);
  /** @param {string} type */
  const seen = (type) => log.filter(([is]) => is === type).map(([, detail]) => detail);
  const delay = () => seen('status').findLast(({ status }) => status === 'waiting').delay;
  return { wire, seen, delay };
}

/** @param {Options} [options] */
async function opened(options) {
  const made = create(options);
  made.wire.connect();
  await settle();
  last().accept();
  return made;
}

test('it tells where it stands', async () => {
  const { wire, seen } = create();
  assert.equal(wire.status, 'idle');
  assert.equal(wire.socket, null);
  wire.connect();
  await settle();
  assert.equal(wire.status, 'connecting');
  last().accept();
  assert.equal(wire.status, 'open');
  assert.equal(wire.socket, last());
  last().end();
  assert.equal(wire.status, 'waiting');
  assert.equal(wire.socket, null);
  wire.close();
  assert.equal(wire.status, 'closed');
  assert.deepEqual(seen('status').map(({ status }) => status), ['connecting', 'open', 'waiting', 'closed']);
  assert.equal(seen('open').length, 1);
  assert.deepEqual(seen('close'), [
    { code: 1006, reason: '', final: false },
    { code: 1000, reason: '', final: true },
  ]);
});

test('the credential goes into the path, escaped, and is asked for at each attempt', async () => {
  let n = 0;
  const { wire } = create({ key: async () => `a/b?${(n += 1)}#é` });
  wire.connect();
  await settle();
  assert.equal(last().url, 'ws://host/websocket/a%2Fb%3F1%23%C3%A9');
  assert.deepEqual(last().protocols, ['keywire.v1']);
  last().end();
  await pass(1000);
  assert.equal(last().url, 'ws://host/websocket/a%2Fb%3F2%23%C3%A9');

  for (const [url, key, expected] of [
    ['http://host/ws/', 'k', 'ws://host/ws/k'],
    ['https://host/ws?room=1#top', 'k', 'wss://host/ws/k?room=1'],
    ['wss://host/ws', undefined, 'wss://host/ws'],
  ]) {
    wires.push(new Keywire(String(url), { key }).connect());
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

test('delays double up to the cap, with the random part on top of the minimum', async () => {
  for (const [random, expected] of /** @type {[number, number[]][]} */ ([
    [0, [500, 500, 500, 500, 500, 500, 500, 500]],
    [0.5, [750, 1000, 1500, 2500, 4500, 8500, 10500, 10500]],
    [1, [1000, 1500, 2500, 4500, 8500, 16500, 20500, 20500]],
  ])) {
    chance = random;
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
    [0.5, '', 750],
    [0.5, '0', 750],
    [0.5, 'soon', 750],
    [0.5, '-5', 750],
    [0.5, '99999999999', 750],
  ])) {
    chance = random;
    const { wire, delay } = await opened();
    last().end(4005, reason);
    assert.equal(delay(), expected, reason);
    wire.close();
  }
});

test('codes say whether to come back', async () => {
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4003, 4005, 4499]) {
    const { wire } = await opened();
    last().end(code);
    assert.equal(wire.status, 'waiting', String(code));
    wire.close();
  }
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4504, 4999]) {
    const { wire, seen } = await opened();
    last().end(code, 'why');
    assert.equal(wire.status, 'closed', String(code));
    assert.deepEqual(seen('close'), [{ code, reason: 'why', final: true }]);
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

test('whatever happens, there is one attempt and one socket at a time', async () => {
  /** @type {(key: string) => void} */
  let give = () => {};
  let asked = 0;
  const { wire } = create({ key: () => new Promise((resolve) => { asked += 1; give = resolve; }) });
  for (let i = 0; i < 3; i += 1) { wire.connect(); online(); }
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [1, 0]);
  give('alice');
  await settle();
  for (let i = 0; i < 3; i += 1) { wire.connect(); online(); }
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [1, 1]);
  last().accept();
  wire.connect();
  online();
  last().end();
  // Now at once; and the timer that was running is not a second way.
  online();
  online();
  wire.connect();
  await pass(60_000);
  assert.equal(asked, 2);
  give('alice');
  await pass(60_000);
  assert.deepEqual([asked, FakeSocket.all.length], [2, 2]);
});

test('close is final at every point', async () => {
  const stays = async (/** @type {Keywire} */ wire) => {
    assert.equal(wire.status, 'closed');
    const before = FakeSocket.all.length;
    online();
    await pass(120_000);
    assert.equal(FakeSocket.all.length, before);
    assert.equal(wire.status, 'closed');
    assert.equal(listening, 0, 'a closed client leaves nothing behind on the page');
  };
  // before it began
  const idle = create();
  idle.wire.close();
  await stays(idle.wire);
  // while the credential is on its way
  /** @type {(key: string) => void} */
  let give = () => {};
  const asking = create({ key: () => new Promise((resolve) => { give = resolve; }) });
  asking.wire.connect();
  asking.wire.close();
  give('alice');
  await stays(asking.wire);
  assert.equal(FakeSocket.all.length, 0);
  // while connecting, with a late opening
  const dialing = create();
  dialing.wire.connect();
  await settle();
  dialing.wire.close();
  assert.equal(last().closedWith, 1000);
  last().accept();
  last().end();
  await stays(dialing.wire);
  // open, with a late message and a late end
  const open = await opened();
  open.wire.on('*', () => assert.fail('heard after close'));
  open.wire.close();
  last().push({ code: '00', msg: 'late' });
  last().end(1006);
  await stays(open.wire);
  // while waiting
  const waiting = await opened();
  last().end();
  waiting.wire.close();
  await stays(waiting.wire);
  // in a listener of its own events
  for (const status of ['connecting', 'open', 'waiting']) {
    const { wire } = create();
    wire.addEventListener('status', ({ detail }) => { if (detail.status === status) wire.close(); });
    wire.connect();
    await settle();
    if (status !== 'connecting') last().accept();
    if (status === 'waiting') last().end();
    await stays(wire);
  }
  const failing = create({ key: () => { throw new Error('no'); } });
  failing.wire.addEventListener('error', () => failing.wire.close());
  failing.wire.connect();
  await settle();
  await stays(failing.wire);
});

test('pushes go to the handlers of their flag, to those of all, and to whoever shows notices', async () => {
  const { wire, seen } = await opened();
  /** @type {string[]} */
  const heard = [];
  const off = wire.on('inform', ({ msg }) => heard.push(`inform ${msg}`));
  wire.on('*', ({ msg }) => heard.push(`* ${msg}`));
  wire.on('other', () => heard.push('never'));
  last().push({ code: '00', msg: 'one', flag: 'inform' });
  last().push({ code: '01', msg: '', data: 5 });
  last().push({ code: '00', msg: 'odd', flag: '*' });
  off();
  last().push({ code: '00', msg: 'two', flag: 'inform' });
  assert.deepEqual(heard, ['inform one', '* one', '* ', '* odd', '* two']);
  assert.deepEqual(seen('notice').map(({ msg }) => msg), ['one', 'odd', 'two']);
  // Handlers outlive the socket.
  last().end();
  await pass(1000);
  last().accept();
  last().push({ code: '00', msg: 'three' });
  assert.equal(heard.at(-1), '* three');
});

test('what is no push is an error and nothing else', async () => {
  const { wire, seen } = await opened();
  wire.on('*', () => assert.fail('not a push'));
  for (const text of ['', '{', 'null', '5', '[]', '{"msg":"x"}', '{"code":1,"msg":"x"}']) last().push(text);
  assert.equal(seen('error').length, 7);
  assert.equal(wire.status, 'open');
});

test('a broken handler harms no other, and is heard of', async () => {
  const { wire } = await opened();
  /** @type {unknown[]} */
  const thrown = [];
  const microtask = mock.method(globalThis, 'queueMicrotask', (/** @type {() => void} */ rethrow) => {
    try { rethrow(); } catch (error) { thrown.push(error); }
  });
  let heard = 0;
  wire.on('*', () => { throw new Error('broken'); });
  wire.on('*', () => { heard += 1; });
  last().push({ code: '00', msg: '' });
  microtask.mock.restore();
  assert.equal(heard, 1);
  assert.match(String(thrown[0]), /broken/);
});

test('envelopes are what the wire asks for', async () => {
  const { wire } = await opened();
  wire.command({ do: 'mine' });
  wire.inform('bob', 'hello');
  wire.inform('', [1]);
  wire.send({ flag: 'dance', reception: 'eve', body: null });
  assert.deepEqual(last().sent, [
    { flag: 'command', body: { do: 'mine' } },
    { flag: 'inform', reception: 'bob', body: 'hello' },
    { flag: 'inform', reception: '', body: [1] },
    { flag: 'dance', reception: 'eve', body: null },
  ]);
});

test('the queue keeps order and its bound, and gives everything away once', async () => {
  const { wire } = create({ queue: 3 });
  for (const n of [1, 2, 3]) wire.command(n);
  assert.throws(() => wire.command(4), /queue is full/);
  wire.connect();
  await settle();
  last().end();
  await pass(1000);
  last().accept();
  wire.command(5);
  assert.deepEqual(last().sent.map(({ body }) => body), [1, 2, 3, 5]);
  // A socket that is closing takes nothing any more: it waits for the next.
  last().readyState = 2;
  wire.command(6);
  last().end();
  await pass(1000);
  last().accept();
  assert.deepEqual(last().sent.map(({ body }) => body), [6]);
});

test('64 messages wait by default, none with a queue of 0', () => {
  const { wire } = create();
  for (let n = 0; n < 64; n += 1) wire.command(n);
  assert.throws(() => wire.command(64));
  assert.throws(() => create({ queue: 0 }).wire.command(1));
});

test('a request gets the push with its id', async () => {
  const { wire } = await opened();
  const one = wire.request('a');
  const two = wire.request('b', { flag: 'inform', reception: 'bob' });
  const [first, second] = last().sent;
  assert.notEqual(first.id, second.id);
  assert.deepEqual(second, { flag: 'inform', reception: 'bob', body: 'b', id: second.id });
  last().push({ code: '45', msg: 'not here', id: second.id });
  last().push({ code: '00', msg: 'ok', id: first.id });
  last().push({ code: '00', msg: 'again', id: first.id });
  assert.equal((await two).code, '45');
  assert.equal((await one).msg, 'ok');
});

test('no request is left hanging', async () => {
  const { wire } = await opened({ queue: 2 });
  const late = assert.rejects(wire.request('late', { timeout: 100 }), /no reply in time/);
  await pass(100);
  await late;
  const lost = assert.rejects(wire.request('lost'), /connection ended/);
  last().end();
  await lost;
  // In the queue there is hope, but not for ever; and what is given up is not sent any more.
  const hopeful = wire.request('hopeful', { timeout: 60_000 });
  const given = assert.rejects(wire.request('given up', { timeout: 10 }), /no reply in time/);
  await assert.rejects(wire.request('too many'), /queue is full/);
  await pass(10);
  await given;
  await pass(1000);
  last().accept();
  assert.deepEqual(last().sent.map(({ body }) => body), ['hopeful']);
  last().push({ code: '00', msg: 'done', id: last().sent[0].id });
  assert.equal((await hopeful).msg, 'done');
  const closing = assert.rejects(wire.request('closing'), /connection ended/);
  wire.close();
  await closing;
  await assert.rejects(wire.request('after'), /closed/);
});
