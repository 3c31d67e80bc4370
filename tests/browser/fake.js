// Fakes for tests of the client alone: a WebSocket, a page, and clocks that move only by command.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, mock } from 'node:test';
import { Keywire } from '../../client/keywire.js';

/** @typedef {import('../../client/keywire.js').Options} Options */

export class FakeSocket extends EventTarget {
  static OPEN = 1;
  /** @type {FakeSocket[]} */
  static all = [];
  readyState = 0;
  bufferedAmount = 0;
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
    assert.notEqual(this.readyState, 0, 'sent into a socket that is not open yet');
    // As in a browser, a closing socket drops it.
    if (this.readyState !== FakeSocket.OPEN) return;
    this.sent.push(JSON.parse(text));
  }

  /** @param {number} code */
  close(code) {
    this.closedWith = code;
    this.readyState = 2;
  }

  /** The server opens the socket, perhaps only to refuse. */
  open() {
    this.readyState = FakeSocket.OPEN;
    this.dispatchEvent(new Event('open'));
    assert.deepEqual(this.sent.shift(), { flag: 'kw:ping' }, 'it asks whether it was let in');
  }

  accept() {
    this.open();
    this.push({ code: '00', msg: '', flag: 'kw:pong' });
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

/** The fake page. */
const page = new EventTarget();
export const listening = () => getEventListeners(page, 'online').length;
/** Fires an event of the page. @param {string} type @param {object} [more] */
export const happens = (type, more) => page.dispatchEvent(Object.assign(new Event(type), more));
export const online = () => happens('online');
/** The next value of Math.random. */
export const chance = { is: 0.5 };
/** @type {Keywire[]} */
let wires = [];
/** The times that timers were set to. @type {unknown[]} */
export let timers = [];
/** Difference between the wall clock and the clock that does not jump. */
let ahead = 0;

/** Moves only the wall clock. @param {number} ms */
export const jump = (ms) => (ahead += ms);

/** Time passes and no timer fires, as in a sleeping page. @param {number} ms */
export const sleep = (ms) => mock.timers.setTime(performance.now() + ms);

beforeEach(() => {
  ahead = 0;
  timers = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const steady = Date.now;
  mock.method(performance, 'now', () => steady());
  mock.method(Date, 'now', () => steady() + ahead);
  const set = globalThis.setTimeout;
  mock.method(globalThis, 'setTimeout', (/** @type {() => void} */ run, /** @type {number} */ ms) => {
    timers.push(ms);
    return set(run, ms);
  });
  mock.method(Math, 'random', () => chance.is);
  Object.assign(globalThis, {
    WebSocket: FakeSocket,
    addEventListener: page.addEventListener.bind(page),
    document: { hidden: false },
  });
  FakeSocket.all = [];
  chance.is = 0.5;
  wires = [];
});

afterEach(() => {
  for (const wire of wires) wire.close();
  mock.restoreAll();
  mock.timers.reset();
  for (const ms of timers) {
    assert.ok(typeof ms === 'number' && ms <= 2 ** 31 - 1, `a timer of ${ms} ms fires at once`);
  }
});

/** Lets resolved promises run. */
export const settle = async () => {
  for (let i = 0; i < 10; i += 1) await null;
};

/** @param {number} ms */
export const pass = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

/** Time passes in small steps, so that each timer fires at its time. @param {number} ms @param {number} [step] */
export async function run(ms, step = 100) {
  for (let left = ms; left > 0; left -= step) await pass(Math.min(left, step));
}

/** @returns {FakeSocket} */
export const last = () => /** @type {FakeSocket} */ (FakeSocket.all.at(-1));

/** @param {Options} [options] @param {string | (() => string)} [url] */
export function create(options, url = 'ws://host/websocket') {
  const wire = new Keywire(url, options);
  /** @type {any[]} */
  const log = [];
  for (const type of /** @type {const} */ (['open', 'close', 'status', 'error', 'notice', 'gap'])) {
    wire.addEventListener(type, ({ detail }) => log.push([type, detail]));
  }
  wires.push(wire);
  /** @param {string} type */
  const seen = (type) => log.filter(([is]) => is === type).map(([, detail]) => detail);
  const delay = () => seen('status').findLast(({ status }) => status === 'waiting').delay;
  return { wire, seen, delay };
}

/** @param {Options} [options] */
export async function opened(options) {
  const made = create(options);
  made.wire.connect();
  await settle();
  last().accept();
  return made;
}
