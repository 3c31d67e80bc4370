// keywire: a WebSocket that a page can forget about.
//
//     const wire = new Keywire('/websocket', { key: 'alice' }).connect();
//     wire.on('inform', (push) => console.log(push.sender, push.msg));
//     wire.addEventListener('notice', ({ detail }) => toast(detail.msg));
//     wire.inform('bob', 'hello');
//
// It connects, speaks JSON, and comes back when the connection is lost; handlers and unsent messages outlive the socket.

/** @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'closed'} Status */
/** What the server sends. @typedef {{ code: string, msg: string, data?: any, flag?: string, sender?: string, id?: number | string }} Push */
/** What the page sends. @typedef {{ flag: string, reception?: string, body?: unknown, id?: number | string }} Envelope */
/** @typedef {(push: Push) => void} Handler */
/** A key or a token, or a function that is asked for one at every attempt. @typedef {string | (() => string | Promise<string>)} Credential */

/**
 * @typedef Options
 * @property {Credential} [key] goes to the end of the path; without it the URL is used as it is
 * @property {number} [queue=64] how many messages wait for a connection; with 0 `send` throws while there is none
 * @property {number} [min=500] the shortest delay before coming back, in ms
 * @property {number} [max=20000] the cap of the delay's random part, in ms
 * @property {number} [delay] always wait this many ms instead
 * @property {number} [settle=5000] a connection that lived this many ms was a good one: delays start small again
 */

/**
 * The `detail` of each event.
 * @typedef Events
 * @property {null} open
 * @property {{ code: number, reason: string, final: boolean }} close the end of a connection or of an attempt
 * @property {{ status: Status, delay?: number }} status `delay` in ms while waiting
 * @property {unknown} error for the console; whatever follows from it shows as `close` and `status`
 * @property {Push} notice a push with a `msg`, which is meant for a person
 */

const PROTOCOL = 'keywire.v1';

/** The server drains: the reason is the time in ms over which its clients should spread their return. */
const DRAINING = 4005;

/** The standard codes after which a second try would meet the same end. */
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];

/** @param {number} code */
const isFinal = (code) => (code >= 4000 ? code >= 4500 : FINAL.includes(code));

export class Keywire extends EventTarget {
  #url;
  #options;
  /** @type {Status} */
  #status = 'idle';
  /** @type {WebSocket | null} */
  #socket = null;
  /** Aborted by `close`: cuts off the socket's events and a credential that is still on its way. */
  #attempt = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} The one way back while waiting. */
  #timer;
  #failures = 0;
  #openedAt = Infinity;
  #lastId = 0;
  /** @type {{ id?: number | string, text: string }[]} What no socket has seen yet. Whatever a socket took is never sent again. */
  #queue = [];
  /** @type {Map<number | string, { resolve: Handler, reject: (error: Error) => void, timer: ReturnType<typeof setTimeout> }>} */
  #requests = new Map();
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  #online = () => void (this.#status === 'waiting' && this.connect());

  /** @param {string | URL} url of the endpoint, ws(s) or http(s); may be relative to the page @param {Options} [options] */
  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, 'ws');
    this.#url.hash = '';
    this.#options = { queue: 64, min: 500, max: 20_000, settle: 5_000, ...options };
  }

  /** The one state there is. */
  get status() {
    return this.#status;
  }

  /** The present WebSocket, if there is one. */
  get socket() {
    return this.#socket;
  }

  /** Connects; while waiting, at once. Does nothing while there is a connection or an attempt. */
  connect() {
    if (this.#status === 'connecting' || this.#status === 'open') return this;
    clearTimeout(this.#timer);
    globalThis.addEventListener?.('online', this.#online);
    this.#attempt = new AbortController();
    void this.#dial(this.#attempt.signal);
    return this;
  }

  /** Closes for good: only another `connect` opens it again. */
  close() {
    if (this.#status === 'closed') return;
    this.#attempt.abort();
    this.#socket?.close(1000);
    this.#end({ code: 1000, reason: '' });
  }

  /**
   * Calls `handler` with every push of this flag, or with every push at all for `'*'`. Returns the undoing of it.
   * @param {string} flag
   * @param {Handler} handler
   */
  on(flag, handler) {
    this.#handlers.set(flag, (this.#handlers.get(flag) ?? new Set()).add(handler));
    return () => this.off(flag, handler);
  }

  /** @param {string} flag @param {Handler} handler */
  off(flag, handler) {
    this.#handlers.get(flag)?.delete(handler);
  }

  /**
   * Sends now, or once connected. Throws when that cannot be promised: closed, or the queue is full.
   * @param {Envelope} envelope
   */
  send(envelope) {
    const text = JSON.stringify(envelope);
    if (this.#status === 'closed') throw new Error('closed');
    // A socket that is closing swallows what it is given, so the status alone does not tell.
    if (this.#status === 'open' && this.#socket?.readyState === WebSocket.OPEN) return this.#socket.send(text);
    if (this.#queue.length >= this.#options.queue) throw new Error('not connected, and the queue is full');
    this.#queue.push({ id: envelope.id, text });
  }

  /** @param {unknown} body */
  command(body) {
    this.send({ flag: 'command', body });
  }

  /** @param {string} reception the key it goes to; `''` is everybody @param {unknown} body */
  inform(reception, body) {
    this.send({ flag: 'inform', reception, body });
  }

  /**
   * A command (or another flag) whose reply comes back as a promise, whatever the reply's code says. Rejects when no reply
   * can come any more: after the timeout, or with the connection that the request went into.
   * @param {unknown} body
   * @param {{ timeout?: number, flag?: string, reception?: string }} [options]
   * @returns {Promise<Push>}
   */
  request(body, { timeout = 10_000, flag = 'command', reception } = {}) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.send({ flag, reception, body, id });
      const timer = setTimeout(() => this.#fail(id, 'no reply in time'), timeout);
      this.#requests.set(id, { resolve, reject, timer });
    });
  }

  /**
   * @template {keyof Events} T
   * @param {T} type
   * @param {((event: CustomEvent<Events[T]>) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /** @param {AbortSignal} signal */
  async #dial(signal) {
    this.#become('connecting');
    try {
      if (signal.aborted) return;
      const { key } = this.#options;
      const credential = typeof key === 'function' ? await key() : key;
      if (signal.aborted) return;
      this.#socket = new WebSocket(this.#address(credential), [PROTOCOL]);
    } catch (error) {
      if (!signal.aborted) this.#emit('error', error);
      // No credential today may well be one tomorrow: this is a failure like a dead line.
      if (!signal.aborted) this.#end({ code: 1006, reason: '' });
      return;
    }
    const socket = this.#socket;
    socket.addEventListener('open', () => this.#opened(), { signal });
    socket.addEventListener('message', (event) => this.#receive(event.data), { signal });
    socket.addEventListener('error', () => this.#emit('error', new Error('the connection failed')), { signal });
    socket.addEventListener('close', (event) => this.#end(event), { signal });
  }

  /**
   * Where the credential goes is decided here and nowhere else.
   * @param {string} [credential]
   */
  #address(credential) {
    const url = new URL(this.#url);
    if (credential !== undefined) url.pathname = url.pathname.replace(/\/?$/, `/${encodeURIComponent(credential)}`);
    return url.href;
  }

  #opened() {
    this.#openedAt = Date.now();
    for (const { text } of this.#queue.splice(0)) this.#socket?.send(text);
    this.#become('open');
    this.#emit('open', null);
  }

  /**
   * The end of a connection, of an attempt, or of it all.
   * @param {{ code: number, reason: string }} end
   */
  #end({ code, reason }) {
    const final = isFinal(code);
    if (final || Date.now() - this.#openedAt >= this.#options.settle) this.#failures = 0;
    const delay = final ? undefined : this.#delay(code, reason);
    this.#openedAt = Infinity;
    this.#socket = null;
    clearTimeout(this.#timer);
    if (final) {
      this.#queue = [];
      globalThis.removeEventListener?.('online', this.#online);
    } else {
      this.#failures += 1;
      this.#timer = setTimeout(() => this.connect(), delay);
    }
    // A request that went into the lost socket gets no reply any more; one in the queue still can.
    for (const id of this.#requests.keys()) {
      if (!this.#queue.some((letter) => letter.id === id)) this.#fail(id, 'the connection ended');
    }
    this.#become(final ? 'closed' : 'waiting', delay);
    this.#emit('close', { code, reason, final });
  }

  /**
   * Random, so that all pages of a server that went away do not come back in the same second.
   * @param {number} code
   * @param {string} reason
   */
  #delay(code, reason) {
    const { min, max, delay } = this.#options;
    if (code === DRAINING && /^0*[1-9]\d{0,5}$/.test(reason)) return Math.random() * Number(reason);
    return delay ?? min + Math.random() * Math.min(max, min * 2 ** this.#failures);
  }

  /** @param {unknown} text */
  #receive(text) {
    /** @type {Push} */
    let push;
    try {
      push = JSON.parse(/** @type {string} */ (text));
      if (typeof push?.code !== 'string') throw new TypeError('not a push');
    } catch (error) {
      return this.#emit('error', error);
    }
    if (push.id !== undefined) this.#settle(push.id)?.resolve(push);
    for (const flag of new Set([push.flag ?? '*', '*'])) {
      for (const handler of [...(this.#handlers.get(flag) ?? [])]) {
        try {
          handler(push);
        } catch (error) {
          // One broken handler must not starve the others; the page's console still gets to see it.
          queueMicrotask(() => { throw error; });
        }
      }
    }
    if (push.msg) this.#emit('notice', push);
  }

  /** @param {number | string} id @param {string} why */
  #fail(id, why) {
    this.#queue = this.#queue.filter((letter) => letter.id !== id);
    this.#settle(id)?.reject(new Error(why));
  }

  /** @param {number | string} id */
  #settle(id) {
    const request = this.#requests.get(id);
    clearTimeout(request?.timer);
    this.#requests.delete(id);
    return request;
  }

  /** @param {Status} status @param {number} [delay] */
  #become(status, delay) {
    this.#status = status;
    this.#emit('status', { status, delay });
  }

  /** @template {keyof Events} T @param {T} type @param {Events[T]} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
