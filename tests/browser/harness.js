// Starts the demo, opens pages and bare sockets, and waits for conditions. No test sleeps.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';
import { chromiumPath } from './chromium.js';

/** @typedef {import('playwright-core').Page} Page */

const PATIENCE = 20_000;

/**
 * @template T
 * @param {Promise<T>} promise @param {string | (() => string)} what Called only after the timeout.
 * @returns {Promise<T>}
 */
export async function within(promise, what, ms = PATIENCE) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${typeof what === 'string' ? what : what()}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}

/** The demo, as `cargo build --example demo --features deflate,jwks,metrics` makes it. */
export const PROGRAM =
  process.env.KEYWIRE_DEMO ?? fileURLToPath(new URL('../../target/debug/examples/demo', import.meta.url));

/** A running demo server. */
export class Demo {
  /** @param {import('node:child_process').ChildProcess} child @param {URL} url */
  constructor(child, url) {
    this.child = child;
    this.url = url;
    this.exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  /** @param {{ port?: number | string, args?: string[], env?: Record<string, string> }} [options] */
  static async start({ port = 0, args = [], env = {} } = {}) {
    const child = spawn(PROGRAM, ['--listen', `127.0.0.1:${port}`, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    let output = '';
    const url = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${PROGRAM} ended with ${code}: ${output}`)));
      // Reading goes on after the line was found, so that the pipe never fills.
      child.stdout.on('data', (chunk) => {
        output += chunk;
        const found = /^keywire demo: (https?:\S+)$/m.exec(output);
        if (found) resolve(new URL(found[1]));
      });
    });
    try {
      return new Demo(child, await within(url, 'the demo listens'));
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** @param {string} path */
  http(path) {
    return new URL(path, this.url).href;
  }

  /** @param {string} credential */
  socket(credential) {
    return `ws://${this.url.host}/websocket/${encodeURIComponent(credential)}`;
  }

  /** @param {string} path @param {unknown} body */
  post(path, body) {
    return fetch(this.http(path), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async stats() {
    return (await fetch(this.http('/stats'))).json();
  }

  /** Stops the process until SIGCONT. Each of its threads stops when it gets to know of it. */
  async freeze() {
    this.child.kill('SIGSTOP');
    const tasks = `/proc/${this.child.pid}/task`;
    const states = () => readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/stat`, 'utf8').split(') ').at(-1)?.[0]);
    await until(() => states().every((state) => state === 'T'), 'all threads of the demo stop');
  }

  /** @param {NodeJS.Signals} [signal] */
  async stop(signal = 'SIGKILL') {
    this.child.kill(signal);
    return within(this.exited, `the demo ends by ${signal}`);
  }
}

/**
 * `close` fails if an exception was not caught on one of its pages: what a page of the book shows may hide that.
 * @param {{ cache?: boolean }} [options] `cache`: with the back/forward cache, which Playwright turns off.
 */
export async function launchChromium({ cache = false } = {}) {
  const quiet = ['quic', 'background-networking', 'component-update', 'sync', 'gpu'].map((name) => `--disable-${name}`);
  const ignoreDefaultArgs = cache ? ['--disable-back-forward-cache'] : [];
  const args = ['--no-sandbox', '--no-first-run', ...quiet];
  const browser = await chromium.launch({ executablePath: chromiumPath(), ignoreDefaultArgs, args });
  /** @type {string[]} */
  const uncaught = [];
  const [newContext, close] = [browser.newContext.bind(browser), browser.close.bind(browser)];
  return Object.assign(browser, {
    // `newPage` calls it too.
    newContext: async (/** @type {import('playwright-core').BrowserContextOptions} */ options) => {
      const context = await newContext(options);
      return context.on('weberror', (error) => uncaught.push(`${error.page()?.url()}: ${error.error().stack}`));
    },
    close: async () => {
      await close();
      assert.deepEqual(uncaught, [], 'uncaught exceptions on the pages');
    },
  });
}

/**
 * The demo page as `key`, connected. Uncaught errors, CSP refusals and failed loads on it are collected in `faults`.
 * @param {import('playwright-core').BrowserContext} context @param {Demo} demo @param {string} key
 */
export async function open(context, demo, key) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(demo.http(`/?key=${encodeURIComponent(key)}`));
  await status(page, 'open');
  return Object.assign(page, { faults });
}

/**
 * A blank page of the demo with a client, its pushes and its events: `wire`, `pushes` and `log` in its window.
 * @param {import('playwright-core').BrowserContext | Page} where @param {string} address @param {object} options
 */
export async function wired(where, address, options) {
  const page = 'newPage' in where ? await where.newPage() : where;
  page.setDefaultTimeout(PATIENCE);
  await page.goto(address);
  await page.evaluate(async (options) => {
    const { Keywire } = await import(/** @type {any} */ ('/keywire.js'));
    const { tokens, ...rest } = /** @type {any} */ (options);
    const ask = () => /** @type {any} */ (window).nextToken();
    const wire = new Keywire('/websocket', tokens ? { ...rest, key: ask } : rest);
    const log = /** @type {any[]} */ ([]);
    const pushes = /** @type {any[]} */ ([]);
    for (const type of ['open', 'close', 'status', 'error', 'notice']) {
      wire.addEventListener(type, (/** @type {CustomEvent} */ { detail }) => log.push([type, detail]));
    }
    wire.on('*', (/** @type {any} */ push) => pushes.push(push));
    Object.assign(window, { wire, log, pushes });
    wire.connect();
  }, options);
  return page;
}

/** @param {Page} page @param {string} expected */
export const becomes = (page, expected) =>
  page.waitForFunction((expected) => /** @type {any} */ (window).wire.status === expected, expected, { polling: 20 });

/** The events of a type of its client. @param {Page} page @param {string} type @returns {Promise<any[]>} */
export async function said(page, type) {
  const log = /** @type {[string, any][]} */ (await page.evaluate(() => /** @type {any} */ (window).log));
  return log.filter(([is]) => is === type).map(([, detail]) => detail);
}

/** The statuses of its client, in their order. @param {Page} page @returns {Promise<string[]>} */
export const path = async (page) => (await said(page, 'status')).map(({ status }) => status);

/** The pushes of its client. @param {Page} page @returns {Promise<any[]>} */
export const got = (page) => page.evaluate(() => /** @type {any} */ (window).pushes);

/** The messages in them. @param {Page} page @returns {Promise<string[]>} */
export const heard = async (page) => (await got(page)).map(({ msg }) => msg);

/** @param {Page} page @param {string} text */
export const hears = (page, text) => until(async () => (await heard(page)).includes(text), `"${text}" is heard`);

/** @param {Page} page @param {string} expected */
export const status = (page, expected) => page.locator(`#status[data-status="${expected}"]`).waitFor({ timeout: PATIENCE });

/** @param {Page} page @param {string} text */
export const toast = (page, text) => page.locator('.toast', { hasText: text }).first().waitFor();

/** @param {Page} page @param {string} text @param {string} [from] */
export const feedItem = (page, text, from = '') =>
  page.locator('#feed li', { hasText: text }).filter({ has: page.locator('.meta b', { hasText: from }) }).first().waitFor();

/** @param {Page} page @param {string} to @param {string} message */
export async function say(page, to, message) {
  await page.fill('#to', to);
  await page.fill('#message', message);
  await page.click('#send');
}

/** A socket that keeps all messages, so that none is missed between two waits. A message that is not JSON fails the test. */
export class Raw {
  /** @type {any[]} */
  messages = [];
  #read = 0;
  #arrived = new EventTarget();
  /** @type {(() => void) | undefined} */
  #entered;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on('message', (data, binary) => {
      const message = binary ? { binary: true } : JSON.parse(String(data));
      if (this.#entered && message.flag === 'kw:pong') return this.#entered();
      this.messages.push(message);
      this.#arrived.dispatchEvent(new Event('message'));
    });
    this.closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })));
  }

  /** @param {unknown} message A value other than a string or a buffer becomes JSON. */
  send(message) {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  /**
   * The next message that fits. Messages before it are skipped.
   * @param {(push: any) => boolean} [fits]
   */
  async next(fits = () => true) {
    const find = async () => {
      for (;;) {
        while (this.#read < this.messages.length) {
          const push = this.messages[this.#read++];
          if (fits(push)) return push;
        }
        await once(/** @type {any} */ (this.#arrived), 'message');
      }
    };
    return within(find(), () => `a push that fits ${fits}, after ${JSON.stringify(this.messages.slice(-5))}`);
  }

  /** Waits until the session is in the store, which is shortly after the opening, or until it is refused. */
  async entered() {
    const pong = new Promise((resolve) => (this.#entered = () => resolve(undefined)));
    this.send({ flag: 'kw:ping' });
    await within(Promise.race([pong, this.closed]), 'the session is there');
    this.#entered = undefined;
  }

  close() {
    this.socket.close(1000);
    return within(this.closed, 'the socket closes');
  }
}

/**
 * A client that is not keywire's. Rejects with `{ status }` if the server refuses the upgrade.
 * @param {string} url @param {string[]} [protocols]
 * @returns {Promise<Raw>}
 */
export function connectRaw(url, protocols = []) {
  const socket = new WebSocket(url, protocols);
  // Listens before the opening, since the first message may come with it.
  const raw = new Raw(socket);
  const opened = new Promise((resolve, reject) => {
    socket.once('open', () => resolve(raw.entered().then(() => raw)));
    socket.once('error', reject);
    socket.once('unexpected-response', (request, response) => {
      reject(Object.assign(new Error(`refused with ${response.statusCode}`), { status: response.statusCode }));
      request.destroy();
    });
  });
  return within(opened, `${url} opens`);
}

/**
 * @param {() => Promise<boolean> | boolean} condition @param {string} what
 */
export async function until(condition, what) {
  const end = Date.now() + PATIENCE;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that nobody listens on now. @returns {Promise<number>} */
export const freePort = () =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, '127.0.0.1', () => {
      const address = socket.address();
      socket.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
