// keywire: a WebSocket that a page can forget about.
//
//     const wire = new Keywire('/websocket', { key: 'alice' }).connect();
//     wire.on('inform', (push) => console.log(push.sender, push.msg));
//     wire.addEventListener('notice', ({ detail }) => toast(detail.msg));
//     wire.inform('bob', 'hello');
//
// It connects, speaks JSON, and comes back when the connection is lost; handlers and unsent messages outlive the socket.
// All options are explained in docs/client.md.

/** @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'closed'} Status */
/**
 * What the server sends. `at` and `time` (ms since 1970) are there on kept pushes, if the page follows.
 * @typedef {{
 *   code: string, msg: string, data?: any, flag?: string, sender?: string, id?: number | string, at?: string, time?: number,
 * }} Push
 */
/** What the page sends. @typedef {{ flag: string, reception?: string, body?: unknown, id?: number | string }} Envelope */
/** @typedef {(push: Push) => void} Handler */
/**
 * A key or a token; `expiresAt` as in `Date.now()`, for tokens that do not say it themselves in a claim `exp`.
 * @typedef {string | { token: string, expiresAt?: number | Date }} Credential
 */
/**
 * Asked at every attempt. The signal aborts when nobody waits for the answer any more.
 * @typedef {(signal: AbortSignal) => Credential | null | undefined | Promise<Credential | null | undefined>} Ask
 */
/**
 * The end of a connection or of an attempt; after a `final` one nothing comes back by itself. `unsent` is there if messages
 * of `send`, `command` or `inform` waited at a final end: no socket is known to have taken them.
 * @typedef {{ code: number, reason: string, final: boolean, unsent?: Envelope[] }} End
 */

/**
 * Times are in ms, at most 24 days (`Infinity` too). A value that is no number from 0 on counts as not given.
 * @typedef Options
 * @property {Credential | Ask | null} [key] the credential, or who to ask for it; without one the URL is used as it is
 * @property {'path' | 'query' | 'protocol'} [via='path'] where it goes: a last segment of the path, the query, the subprotocols
 * @property {string} [param='token'] its name in the query
 * @property {number} [renew=60000] how long before its end a credential that was asked for is exchanged for a fresh one
 * @property {number} [queue=64] how many messages wait for a connection; with 0 `send` throws while there is none
 * @property {number} [min=500] the shortest delay before coming back
 * @property {number} [max=20000] the cap of the delay's random part
 * @property {number} [delay] always wait so long instead
 * @property {number} [settle=5000] a connection that lived so long was a good one: delays start small again
 * @property {number} [attempt=10000] the longest an attempt may take, from asking for the credential to the server's word
 * @property {number} [heartbeat=25000] after so long a silence the server is asked for a sign of life; 0 turns that off
 * @property {number} [pong=10000] how long it has to give one
 * @property {'now' | 'unread' | string | false} [follow=false] follows the log of kept pushes: from its end, from what the user has
 *   not seen, or from a position
 * @property {'reload'} [resume] the position outlives a reload of the page
 * @property {boolean | string} [shared=false] one connection for all tabs of this origin that have the same URL here, and the same name
 */

/**
 * The `detail` of each event.
 * @typedef Events
 * @property {null} open
 * @property {End} close
 * @property {{ status: Status, delay?: number }} status `delay` in ms while waiting
 * @property {unknown} error for the console; whatever follows from it shows as `close` and `status`
 * @property {Push} notice a push with a `msg`, which is meant for a person
 * @property {{ why: 'trimmed' | 'reset', at: string }} gap kept pushes are missing: fetch the state of the page again
 */

/** @typedef {{ n: string, id?: number | string, text: string }} Letter */
/** @typedef {{ status: Status, epoch: string, delay?: number, end?: End }} State what a leader tells of itself */
/**
 * What tabs tell each other. With a `term` it is the leader who speaks.
 * @typedef {{
 *   term?: number, state?: State, push?: unknown, taken?: string,
 *   ask?: 'state' | 'now', letter?: Letter, epoch?: string,
 * }} Note
 */
/** @typedef {(letters: Letter[]) => void} Report */
/** @typedef {{ leads: boolean, post: (note: Note) => void, steal: () => void, leave: (letters?: Letter[], report?: Report) => void }} Tabs */

const PROTOCOL = 'keywire.v1';
const PING = '{"flag":"kw:ping"}';

/** Flags and ids that begin so are keywire's. */
const OWN = /^kw:/;

/** The server drains: the reason is the time in ms over which its clients should spread their return. */
const DRAINING = 4005;

/** The standard codes after which a second try would meet the same end. */
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];

/** The longest that a timer can be set to, 24 days. A longer one would fire at once. */
const LONGEST = 2 ** 31 - 1;

/** The options that are numbers, and their defaults. */
const NUMBERS = {
  renew: 60_000, queue: 64, min: 500, max: 20_000, settle: 5_000, attempt: 10_000, heartbeat: 25_000, pong: 10_000,
};

/** @type {End} */
const LOST = { code: 1006, reason: '', final: false };

/** @typedef {ReturnType<typeof setTimeout> | undefined} Timer */

/** @param {number} code */
const isFinal = (code) => (code >= 4500 && code < 5000) || FINAL.includes(code);

/**
 * The one place where times get their bounds. What is no number from 0 on is not given.
 * @param {any} value @param {any} [otherwise] @returns {any}
 */
function bounded(value, otherwise) {
  // parseFloat takes '5s', Number takes null, '' and []. What both take is a number.
  const number = parseFloat(value);
  return number === Number(value) && number >= 0 ? Math.min(number, LONGEST) : otherwise;
}

/** For spans: the wall clock jumps, this one does not. */
const now = () => performance.now();

/** @param {string} text */
const base64url = (text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');

/** When a JWT ends, in ms; NaN for what is none or does not say. @param {string} token */
function expiry(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).exp * 1000;
  } catch {
    return NaN;
  }
}

/**
 * Joins the tabs that share a connection. One of them holds a lock, and leads: it has the socket. The browser gives the lock
 * to the next when that tab is gone, whatever became of it.
 * @param {string} name
 * @param {(note: Note) => void} hear
 * @param {(stolen: boolean) => void} lead this tab has the lock, taken away from one that gave no sign of life if need be
 * @param {(error: Error) => void} lost it has it no more, or there are no locks to be had here
 * @returns {Tabs}
 */
function joinTabs(name, hear, lead, lost) {
  const channel = new BroadcastChannel(name);
  const left = new AbortController();
  const { signal } = left;
  channel.onmessage = ({ data }) => hear(data);
  /** @param {LockOptions} options */
  const request = (options) => {
    const held = () => {
      if (signal.aborted) return;
      tabs.leads = true;
      lead(!!options.steal);
      return new Promise((release) => signal.addEventListener('abort', release));
    };
    navigator.locks.request(name, options, held).catch((error) => signal.aborted || lost(error));
  };
  const tabs = {
    leads: false,
    /** @param {Note} note */
    post: (note) => channel.postMessage(note),
    steal: () => request({ steal: true }),
    /** Reports which of these letters the leader did not take within a second. @param {Letter[]} [letters] @param {Report} [report] */
    leave(letters = [], report) {
      left.abort();
      const end = () => {
        clearTimeout(timer);
        channel.close();
        report?.(letters);
      };
      const timer = setTimeout(end, 1000);
      const look = (/** @type {Note} */ { taken }) => {
        letters = letters.filter(({ n }) => n !== taken);
        if (!letters.length) end();
      };
      channel.onmessage = ({ data }) => look(data);
      look({});
    },
  };
  request({ signal });
  return tabs;
}

export class Keywire extends EventTarget {
  #url;
  #options;
  /** @type {Status} */
  #status = 'idle';
  /** @type {WebSocket | null} */
  #socket = null;
  /** From `connect` to the last end: what listens on the page. */
  #life = new AbortController();
  /** One attempt and the connection that it made: cuts off the socket's events and a credential that is still on its way. */
  #attempt = new AbortController();
  /** The same for a fresh credential. */
  #asking = new AbortController();
  /** @type {Timer} The one way back while waiting; the limit of the attempt while connecting. */
  #timer;
  /** @type {Timer} */
  #pulse;
  /** @type {Timer} */
  #renewal;
  #failures = 0;
  #openedAt = Infinity;
  /** When the next attempt is due. */
  #due = 0;
  /** When the credential ends, by the clock of `now`. */
  #expires = NaN;
  /** How often it was exchanged on this connection. */
  #renewals = 0;
  /** When the other side was last heard of, and whether it was asked for a sign of life since. */
  #heard = 0;
  #asked = false;
  /** How many times `pong` the other side has: more after a connection that was given up for its silence. */
  #patience = 1;
  /** No other tab's ids begin so. */
  #tab = `kw:${Math.random().toString(36).slice(2)}:`;
  #lastId = 0;
  /** @type {Letter[]} What no socket has seen yet. Whatever a socket took is never sent again. */
  #queue = [];
  /** @type {Map<number | string, { resolve: Handler, reject: (error: Error) => void, timer: Timer, flag: string }>} */
  #requests = new Map();
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {Tabs | null} */
  #tabs = null;
  /** Since when the leader leads: of two that believe they do, the later is right. */
  #term = 0;
  #former = NaN;
  /** Which of the connections this is, of all that the tabs had. */
  #epoch = '';
  /** @type {string | undefined} The position in the log up to which the handlers have run. */
  #at;
  /** Whether this tab reads what it has missed, and whether it has missed more since. */
  #catching = false;
  #missed = false;
  /** @type {Timer} For the first word about the log. */
  #word;

  /** @param {string | URL} url of the endpoint, ws(s) or http(s); may be relative to the page @param {Options} [options] */
  constructor(url, options = {}) {
    super();
    // Where a page is rendered on a server, a relative URL has nothing to be relative to yet.
    this.#url = globalThis.location ? new URL(url, location.href).href : String(url);
    this.#options = { ...options, ...NUMBERS, param: options.param ?? 'token', delay: bounded(options.delay) };
    for (const name of /** @type {(keyof typeof NUMBERS)[]} */ (Object.keys(NUMBERS))) {
      this.#options[name] = bounded(options[name], NUMBERS[name]);
    }
    this.#memory((storage, name) => { this.#at = storage.getItem(name) ?? undefined; });
  }

  /** The one state there is. */
  get status() {
    return this.#status;
  }

  /** The present WebSocket, if this tab has one. */
  get socket() {
    return this.#socket;
  }

  /** Connects; while waiting, at once. Does nothing while there is a connection or an attempt. Throws for a relative URL without a page. */
  connect() {
    if (this.#status === 'connecting' || this.#status === 'open') return this;
    this.#endpoint();
    clearTimeout(this.#timer);
    if (this.#status !== 'waiting') this.#listen();
    if (this.#follows) this.#tabs?.post({ ask: 'now' });
    else if (this.#tabs || !this.#options.shared || !globalThis.BroadcastChannel || !navigator.locks) void this.#dial();
    else this.#join();
    return this;
  }

  /** Closes for good: only another `connect` opens it again. What a socket took is sent first; the event `close` tells what is `unsent`. */
  close() {
    if (this.#status === 'closed') return;
    // What was handed to the leader may be on its way.
    const tabs = this.#isOpen && this.#follows ? this.#tabs : null;
    if (tabs) this.#tabs = null;
    this.#leave();
    this.#over({ code: 1000, reason: '', final: true }, undefined, tabs);
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
    const letter = { n: this.#nextId(), id: envelope.id, text: JSON.stringify(envelope) };
    if (this.#status === 'closed') throw new Error('closed');
    const open = this.#isOpen;
    if (open && this.#pass(letter)) return;
    if (!open && this.#queue.length >= this.#options.queue) throw new Error('not connected, and the queue is full');
    this.#queue.push(letter);
  }

  /** @param {unknown} body */
  command(body) {
    this.send({ flag: 'command', body });
  }

  /** @param {string} reception the key it goes to; `''` is nobody in particular @param {unknown} body */
  inform(reception, body) {
    this.send({ flag: 'inform', reception, body });
  }

  /**
   * A command (or another flag) whose reply comes back as a promise, whatever the reply's code says. Rejects when no reply
   * can come any more: after the timeout, or with the connection that the request went into.
   * @param {unknown} body
   * @param {{ timeout?: number, flag?: string, reception?: string }} [options] the timeout is 10 s by default
   * @returns {Promise<Push>}
   */
  request(body, { timeout, flag = 'command', reception } = {}) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId();
      this.send({ flag, reception, body, id });
      const timer = setTimeout(() => this.#fail(id, 'no reply in time'), bounded(timeout, 10_000));
      this.#requests.set(id, { resolve, reject, timer, flag });
    });
  }

  /** The user has read everything up to here, on any device. @param {string} [at] inside of a handler: `push.at` */
  seen(at = this.#at) {
    if (at) this.send({ flag: 'kw:seen', body: at });
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

  // ── One connection ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #dial() {
    const { signal } = (this.#attempt = new AbortController());
    this.#timer = setTimeout(() => this.#lose(new Error('the attempt took too long')), this.#options.attempt);
    this.#become('connecting');
    try {
      if (signal.aborted) return;
      const { token, expires } = await this.#credential(signal);
      if (signal.aborted) return;
      this.#expires = expires;
      this.#socket = new WebSocket(...this.#address(token));
    } catch (error) {
      // No credential today may well be one tomorrow: this is a failure like a dead line.
      if (!signal.aborted) this.#lose(error);
      return;
    }
    const socket = this.#socket;
    // A browser cannot read a refusal, so the server opens to refuse. Only its first word says that it let us in.
    socket.addEventListener('open', () => socket.send(PING), { signal });
    socket.addEventListener('message', ({ data }) => {
      if (this.#status === 'connecting') this.#opened();
      if (signal.aborted) return;
      // First to the other tabs: whatever a handler here does, they have it.
      this.#post({ push: data });
      this.#receive(data);
    }, { signal });
    socket.addEventListener('error', () => this.#emit('error', new Error('the connection failed')), { signal });
    socket.addEventListener('close', (event) => this.#end(event), { signal });
  }

  /** @param {AbortSignal} signal */
  async #credential(signal) {
    const { key } = this.#options;
    const asked = typeof key === 'function';
    const got = asked ? await key(signal) : key;
    // `localStorage.getItem` says null.
    if (got === undefined || got === null) return { token: undefined, expires: NaN };
    const { token, expiresAt = undefined } = typeof got === 'object' ? got : { token: got };
    if (!token || typeof token !== 'string') throw new TypeError('`key` gave neither a string nor a { token }');
    // One that was written down once has nothing to be exchanged for. The wall clock is read here and nowhere else.
    return { token, expires: asked ? now() + Number(expiresAt ?? expiry(token)) - Date.now() : NaN };
  }

  #endpoint() {
    try {
      const url = new URL(this.#url, globalThis.location?.href);
      url.protocol = url.protocol.replace(/^http/, 'ws');
      url.hash = '';
      return url;
    } catch {
      throw new TypeError('the URL is not absolute, and there is no page');
    }
  }

  /**
   * Where the credential goes is decided here and nowhere else.
   * @param {string} [token]
   * @returns {[url: string, protocols: string[]]}
   */
  #address(token) {
    const { via, param, follow } = this.#options;
    const url = this.#endpoint();
    const protocols = [PROTOCOL];
    // What cannot be a position is for the server to say, and must not keep the page from connecting.
    if (follow) protocols.push(`from.keywire.${(this.#at ?? follow).replace(/[^\w.]/g, '_')}`);
    if (token === undefined) return [url.href, protocols];
    if (via === 'query') url.searchParams.set(param, token);
    else if (via === 'protocol') protocols.push(`base64url.bearer.keywire.${base64url(token)}`);
    // A path of dots leads elsewhere.
    else if (/^\.\.?$/.test(token)) throw new TypeError('this credential cannot stand in a path');
    else url.pathname = url.pathname.replace(/\/?$/, `/${encodeURIComponent(token)}`);
    return [url.href, protocols];
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedAt = now();
    if (!this.#follows) {
      this.#epoch = this.#nextId();
      this.#renewals = 0;
      this.#renew();
      if (this.#options.follow) this.#word = setTimeout(() => this.#askForLog(), this.#options.attempt);
    }
    this.#queue = this.#queue.filter((letter) => !this.#pass(letter));
    this.#become('open');
    if (this.#status === 'open') this.#emit('open', null);
    if (this.#follows && (this.#at || this.#options.follow !== 'now')) void this.#catchUp();
  }

  /** Exchanges the credential in time. If that fails it is tried again while there is time; the last resort is to come back. */
  #renew() {
    clearTimeout(this.#renewal);
    const { renew, attempt } = this.#options;
    const left = this.#expires - now();
    // Not if it is unknown, nor if it seems to be over: then it is this clock that is wrong.
    if (!(left > 1000)) return;
    // A clock that is wrong by less makes each fresh credential look short-lived: those are exchanged ever more rarely.
    const rarely = Math.min(500 * 2 ** this.#renewals++, 30_000);
    const { signal } = this.#attempt;
    this.#renewal = setTimeout(async () => {
      const late = (this.#asking = new AbortController());
      try {
        const { token, expires } = await new Promise((resolve, reject) => {
          this.#renewal = setTimeout(() => {
            late.abort();
            reject(new Error('no fresh credential in time'));
          }, attempt);
          this.#credential(late.signal).then(resolve, reject);
        });
        if (signal.aborted) return;
        if (!token) throw new Error('no fresh credential');
        const { code, msg } = await this.request(token, { flag: 'kw:refresh' });
        if (code !== '00') throw new Error(`fresh credential refused: ${code} ${msg}`);
        this.#expires = expires;
      } catch (error) {
        if (!signal.aborted) this.#emit('error', error ?? new Error('no fresh credential'));
      }
      if (!signal.aborted) this.#renew();
    }, bounded(Math.max(left - renew, left * 0.75, rarely)));
  }

  /** Gives up what does not work. @param {unknown} why */
  #lose(why) {
    const { signal } = this.#attempt;
    // A promise may be rejected without a word.
    this.#emit('error', why ?? new Error('no credential'));
    if (!signal.aborted) this.#end(LOST);
  }

  /** The server or the line ended it. @param {{ code: number, reason: string }} end */
  #end({ code, reason }) {
    const final = isFinal(code);
    if (final || now() - this.#openedAt >= this.#options.settle) this.#failures = 0;
    const delay = final ? undefined : this.#delay(code, reason);
    if (!final) this.#failures += 1;
    this.#over({ code, reason, final }, delay);
  }

  /**
   * Random, so that all pages of a server that went away do not come back in the same second.
   * @param {number} code
   * @param {string} reason
   */
  #delay(code, reason) {
    const { min, max, delay } = this.#options;
    const window = /^\d+$/.test(reason) ? Number(reason) : 0;
    if (code === DRAINING && window > 0 && window <= 1e6) return Math.random() * window;
    return delay ?? bounded(min + Math.random() * Math.min(max, min * 2 ** this.#failures));
  }

  /**
   * The end of a connection, of an attempt, or of it all. With a delay, this tab is the one that comes back.
   * @param {End} end
   * @param {number} [delay]
   * @param {Tabs | null} [tabs] those who may still take what waits
   */
  #over(end, delay, tabs) {
    this.#attempt.abort();
    this.#asking.abort();
    this.#socket?.close(1000);
    this.#socket = null;
    this.#openedAt = Infinity;
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    clearTimeout(this.#word);
    /** @type {Letter[]} */
    let unsent = [];
    // A request is told by its rejection.
    if (end.final) [unsent, this.#queue] = [this.#queue.filter(({ id = '' }) => !this.#requests.has(id)), []];
    if (delay !== undefined && !this.#follows) this.#timer = setTimeout(() => this.connect(), delay);
    // A request that went into the lost socket gets no reply any more; one in the queue still can.
    for (const id of this.#requests.keys()) {
      if (!this.#queue.some((letter) => letter.id === id)) this.#fail(id, 'the connection ended');
    }
    this.#become(end.final ? 'closed' : 'waiting', delay, end);
    /** @type {Report} */
    const report = (letters) => {
      this.#emit('close', letters.length ? { ...end, unsent: letters.map(({ text }) => JSON.parse(text)) } : end);
    };
    if (tabs) tabs.leave(unsent, report);
    else report(unsent);
  }

  /** @param {Status} status @param {number} [delay] @param {End} [end] */
  #become(status, delay, end) {
    this.#status = status;
    this.#heard = now();
    this.#due = this.#heard + (delay ?? 0);
    this.#post({ state: { status, epoch: this.#epoch, delay, end } });
    if (status === 'closed') {
      this.#life.abort();
      this.#leave();
    }
    this.#beat();
    this.#emit('status', { status, delay });
  }

  // ── Is anybody there? ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Waits for silence: of the server where the socket is, of the leader in the other tabs. */
  #beat() {
    const { heartbeat } = this.#options;
    clearTimeout(this.#pulse);
    this.#asked = false;
    if (!heartbeat || !(this.#follows || this.#status === 'open')) return;
    const left = () => this.#heard + heartbeat - now();
    this.#pulse = setTimeout(() => (left() > 0 ? this.#beat() : this.#probe()), left());
  }

  /** Asks for a sign of life, and gives up whoever gives none. */
  #probe(again = false) {
    const { heartbeat, pong } = this.#options;
    clearTimeout(this.#pulse);
    const buffered = () => this.#socket?.bufferedAmount ?? 0;
    // Without the question: that it leaves the buffer says nothing about the other side.
    const unsent = buffered();
    if (this.#follows) this.#tabs?.post({ ask: 'state' });
    else this.#socket?.send(PING);
    if (!heartbeat) return;
    this.#asked = true;
    const wait = bounded(pong * this.#patience);
    const due = now() + wait;
    this.#pulse = setTimeout(() => {
      if (!this.#asked) {
        this.#patience = 1;
        this.#beat();
      } else if (!again && now() > due + 1000) {
        // A timer that is late says that this page or its machine slept, not that the other side did: once more, awake.
        this.#probe(true);
      } else if (buffered() < unsent) {
        // The question waits behind what the other side is still taking.
        this.#probe(again);
      } else if (this.#follows) {
        this.#tabs?.steal();
      } else {
        // A message that is still arriving cannot be seen from here. It gets more time on the next connection.
        this.#patience = Math.min(this.#patience * 2, 8);
        this.#lose(new Error('no sign of life'));
      }
    }, wait);
  }

  #listen() {
    const options = { signal: (this.#life = new AbortController()).signal, capture: true };
    for (const type of ['online', 'offline', 'visibilitychange', 'freeze', 'resume', 'pagehide', 'pageshow']) {
      globalThis.addEventListener?.(type, (event) => this.#turn(/** @type {PageTransitionEvent} */ (event)), options);
    }
  }

  /** Something happens to the page. @param {PageTransitionEvent} event */
  #turn({ type, persisted }) {
    if (type === 'pagehide' || (type === 'freeze' && this.#tabs?.leads)) {
      // A page that is kept for the way back may have no socket, and a frozen one would keep its socket from all tabs.
      clearTimeout(this.#timer);
      this.#leave();
      if (this.#status !== 'waiting') this.#over({ ...LOST, code: 1001 });
    } else if (type === 'freeze' || (type === 'pageshow' && !persisted) || (type === 'visibilitychange' && document.hidden)) {
      return;
    } else if (this.#status === 'waiting') {
      if (type !== 'offline') this.connect();
    } else if (this.#options.heartbeat && !this.#asked && (this.#follows || this.#status === 'open')) {
      // The socket may have died meanwhile without anybody here to see it.
      this.#probe();
    }
  }

  // ── One connection for all tabs ─────────────────────────────────────────────────────────────────────────────────────

  get #follows() {
    return this.#tabs !== null && !this.#tabs.leads;
  }

  #join() {
    const { shared } = this.#options;
    const name = `keywire ${this.#endpoint().href}${shared === true ? '' : ` ${shared}`}`;
    const tabs = joinTabs(name, (note) => this.#hear(note), (stolen) => this.#lead(stolen), (error) => {
      this.#leave();
      // Where there are no locks to be had: without them.
      if (error.name !== 'AbortError') return void this.#dial();
      this.#over(LOST);
      if (this.#status === 'waiting') this.connect();
    });
    this.#tabs = tabs;
    this.#become('connecting');
    if (this.#tabs === tabs) this.#probe();
  }

  #leave() {
    this.#tabs?.leave();
    this.#tabs = null;
  }

  /** @param {boolean} stolen */
  #lead(stolen) {
    this.#former = stolen ? NaN : this.#term;
    this.#term = Math.max(Date.now(), this.#term + 1);
    if (this.#status !== 'open') return void this.#dial();
    this.#over(LOST);
    // Unless a listener of the page closed it all.
    if (this.#tabs) this.connect();
  }

  /** From a leader to all. @param {Note} note */
  #post(note) {
    if (this.#tabs?.leads) this.#tabs.post({ term: this.#term, ...note });
  }

  /** @param {Note} note */
  #hear({ term, state, push, taken, ask, letter, epoch }) {
    const { leads } = /** @type {Tabs} */ (this.#tabs);
    if (leads && ask === 'now') this.connect();
    else if (leads && ask) {
      this.#post({ state: { status: this.#status, epoch: this.#epoch, delay: Math.max(this.#due - now(), 0) } });
    } else if (leads && letter && epoch === this.#epoch && this.#isOpen) {
      // Said before it is done: should this tab die in between, a message is lost, but none is sent twice.
      this.#post({ taken: letter.n });
      this.#pass(letter);
    }
    // A leader still listens to the last words of the one before it.
    if (term === undefined || (leads ? term !== this.#former : term < this.#term)) return;
    this.#heard = now();
    this.#asked = false;
    if (taken) this.#queue = this.#queue.filter(({ n }) => n !== taken);
    else if (!state) this.#receive(push);
    else if (!leads) this.#mirror(term, state);
    else if (state.end?.final) this.#over(state.end);
  }

  /** Makes this tab what its leader is. @param {number} term @param {State} state */
  #mirror(term, { status, epoch, delay, end }) {
    this.#term = term;
    const tabs = this.#tabs;
    if (this.#status === 'open' && (status !== 'open' || epoch !== this.#epoch)) this.#over(end ?? LOST, delay);
    else if (end) this.#over(end, delay);
    // By now a listener of the page may have closed it all.
    if (this.#tabs !== tabs || status === this.#status) return;
    this.#epoch = epoch;
    if (status === 'open') this.#opened();
    else this.#become(status, delay);
  }

  // ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A socket that is closing swallows what it is given, so the status alone does not tell. */
  get #isOpen() {
    return this.#status === 'open' && (this.#follows || this.#socket?.readyState === WebSocket.OPEN);
  }

  /** Hands on what is to be sent, and says whether it can be forgotten. @param {Letter} letter */
  #pass(letter) {
    if (this.#follows) {
      this.#tabs?.post({ letter, epoch: this.#epoch });
      return false;
    }
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(letter.text);
    return true;
  }

  /** @param {unknown} text */
  #receive(text) {
    this.#heard = now();
    this.#asked = false;
    /** @type {Push} */
    let push;
    try {
      push = JSON.parse(/** @type {string} */ (text));
      if (typeof push?.code !== 'string') throw new TypeError('not a push');
    } catch (error) {
      return this.#emit('error', error);
    }
    const id = String(push.id);
    const request = this.#settle(push.id);
    request?.resolve(push);
    if (push.flag === 'kw:from') this.#place(push.data.at, push.data.gap);
    if (push.flag === 'kw:gap') this.#place(push.data.at, push.data.why);
    // Neither keywire's own talk nor what answers another tab is for the page.
    if (OWN.test(request?.flag ?? push.flag ?? '') || (OWN.test(id) && !id.startsWith(this.#tab))) return;
    this.#deliver(push);
  }

  /** @param {Push} push */
  #deliver(push) {
    if (!this.#isNews(push.at)) return;
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
    // Now, and not before: what no handler has had comes again.
    if (push.at) this.#keep(push.at);
  }

  // ── The log of kept pushes ──────────────────────────────────────────────────────────────────────────────────────────

  /** Whether a push is one that the handlers have not had, and the next one if it is kept. @param {string} [at] */
  #isNews(at) {
    if (!at || !this.#at || !this.#options.follow) return true;
    const steps = parseInt(at) - parseInt(this.#at);
    if (steps < 2 || !this.#follows) return steps > 0;
    // What one tab tells another can be lost.
    void this.#catchUp();
    return false;
  }

  /** The server says where following begins or goes on. @param {string} at @param {'trimmed' | 'reset' | null} why of a gap */
  #place(at, why) {
    clearTimeout(this.#word);
    if (!this.#options.follow) return;
    if (!this.#follows || !this.#at || why === 'reset') {
      this.#keep(at);
      if (why) this.#emit('gap', { why, at });
    } else if (parseInt(at) > parseInt(this.#at)) {
      // It is the leader's place. This tab has one of its own.
      void this.#catchUp();
    }
  }

  /** Reads what this tab has missed of what its leader got. */
  async #catchUp() {
    this.#missed = true;
    if (this.#catching || !this.#options.follow) return;
    this.#catching = true;
    try {
      while (this.#missed) {
        this.#missed = false;
        const after = this.#at ?? this.#options.follow;
        const { code, msg, data } = await this.request({ after }, { flag: 'kw:read' });
        if (!data) throw new Error(`log: ${code} ${msg}`);
        if (data.gap) {
          this.#keep(data.from);
          this.#emit('gap', { why: data.gap, at: data.from });
        }
        for (const push of data.entries) this.#deliver(push);
        this.#missed ||= data.more;
      }
    } catch (error) {
      this.#emit('error', error);
    }
    this.#catching = false;
  }

  /** No word about the log came: perhaps it is away, perhaps there is none. */
  async #askForLog() {
    const reply = await this.request({ limit: 0 }, { flag: 'kw:read' }).catch(() => null);
    if (reply?.code === '44') this.#emit('error', new Error('this server keeps no pushes'));
  }

  /** @param {string} at */
  #keep(at) {
    this.#at = at;
    this.#memory((storage, name) => storage.setItem(name, at));
  }

  /** What outlives a reload. A page that may not store anything does without. @param {(storage: Storage, name: string) => void} use */
  #memory(use) {
    const { resume, shared = '' } = this.#options;
    try {
      if (resume === 'reload') use(sessionStorage, `keywire ${this.#url} ${shared}`);
    } catch {
      // Then a reload begins anew.
    }
  }

  #nextId() {
    return `${this.#tab}${(this.#lastId += 1)}`;
  }

  /** @param {number | string} id @param {string} why */
  #fail(id, why) {
    this.#queue = this.#queue.filter((letter) => letter.id !== id);
    this.#settle(id)?.reject(new Error(why));
  }

  /** @param {number | string} [id] */
  #settle(id = '') {
    const request = this.#requests.get(id);
    clearTimeout(request?.timer);
    this.#requests.delete(id);
    return request;
  }

  /** @template {keyof Events} T @param {T} type @param {Events[T]} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
