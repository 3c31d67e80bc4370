// keywire: a WebSocket that reconnects by itself.
//
//     const wire = new Keywire('/websocket', { key: 'alice' }).connect();
//     wire.on('inform', (push) => console.log(push.sender, push.msg));
//     wire.addEventListener('notice', ({ detail }) => toast(detail.msg));
//     wire.inform('bob', 'hello');
//
// The client connects, speaks JSON, and reconnects when the connection is lost. Handlers and unsent messages outlive the
// socket. docs/client.md explains all options.

/** @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'closed'} Status */
/**
 * A message of the server. Kept pushes have `at` and `time` (ms since 1970) if the page follows the log.
 * @typedef {{
 *   code: string, msg: string, data?: any, flag?: string, sender?: string, id?: number | string, group?: string,
 *   at?: string, time?: number, ask?: true,
 * }} Push
 */
/** A message of the page. @typedef {{ flag: string, reception?: string, body?: unknown, id?: number | string }} Envelope */
/** @typedef {(push: Push) => void} Handler */
/** Returns the answer to a request of the server, or a promise of it. @typedef {(push: Push) => unknown} Answerer */
/**
 * A push of a flag. `Pushes` has the type of `data` for each flag.
 * @template {object} Pushes
 * @template {string} Flag
 * @typedef {Flag extends keyof Pushes ? Omit<Push, 'data'> & { data: Pushes[Flag] } : Push} PushOf
 */
/**
 * A reply. `data` is absent in most replies that are errors.
 * @template [Data=any]
 * @typedef {Omit<Push, 'data'> & { data?: Data }} ReplyOf
 */
/**
 * A key or a token. `expiresAt`, a time as in `Date.now()`, is for tokens without a claim `exp`.
 * @typedef {string | { token: string, expiresAt?: number | Date }} Credential
 */
/**
 * Returns the credential. Called at every attempt. The signal aborts when the answer is no longer needed.
 * @typedef {(signal: AbortSignal) => Credential | null | undefined | Promise<Credential | null | undefined>} Ask
 */
/**
 * The end of a connection or of an attempt. After a `final` end the client does not reconnect. A final end has `unsent` if
 * messages of `send`, `command` or `inform` were waiting: no socket is known to have taken them.
 * @typedef {{ code: number, reason: string, final: boolean, unsent?: Envelope[] }} End
 */

/**
 * Times are in ms, at most 24 days (`Infinity` counts as 24 days). A value that is not a number from 0 on counts as not given.
 * @typedef Options
 * @property {Credential | Ask | null} [key] Credential, or a function that returns it. Without it the URL is used as it is.
 * @property {'path' | 'query' | 'protocol'} [via='path'] Place of the credential: last segment of the path, query, or subprotocol.
 * @property {string} [param='token'] Name of the credential in the query.
 * @property {number} [renew=60000] Time before the end of a credential at which a fresh one replaces it. Only if `key` is a function.
 * @property {number} [queue=64] Number of messages that may wait for a connection. 0: `send` throws without a connection.
 * @property {number} [min=500] Shortest delay before the client reconnects.
 * @property {number} [max=20000] Longest random part of the delay.
 * @property {number} [delay] Fixed delay, instead of the random one.
 * @property {number} [settle=5000] Age at which a connection counts as good: the next delays start small again.
 * @property {number} [attempt=10000] Timeout of an attempt, from the call of `key` to the first message of the server.
 * @property {number} [heartbeat=25000] Silence after which the client pings the server. 0: no pings.
 * @property {number} [pong=10000] Timeout for the answer to a ping.
 * @property {'now' | 'unread' | string | false} [follow=false] Follows the log of kept pushes: from its end, from the first push
 *   that the user has not seen, or from a position.
 * @property {'reload'} [resume] Keeps the position in the log when the page is reloaded.
 * @property {boolean | string} [shared=false] One connection for all tabs of this origin with the same URL, and the same name.
 */

/**
 * The type of `detail` of each event.
 * @typedef Events
 * @property {null} open
 * @property {End} close
 * @property {{ status: Status, delay?: number }} status New status. While waiting, `delay` in ms.
 * @property {unknown} error For the console. The consequences are told by `close` and `status`.
 * @property {Push} notice A push with a `msg`, which is meant for a person.
 * @property {{ why: 'trimmed' | 'reset', at: string }} gap Kept pushes are missing: load the state of the page again.
 */

/** @typedef {{ n: string, id?: number | string, text: string }} Letter */
/** @typedef {{ status: Status, epoch: string, delay?: number, end?: End, at?: string }} State The state of a leader. */
/**
 * A note between tabs. Notes with a `term` are from the leader.
 * @typedef {{
 *   term?: number, state?: State, push?: unknown, taken?: string,
 *   ask?: 'state' | 'now', letter?: Letter, epoch?: string,
 *   offer?: number | string, tab?: string, shown?: boolean, chosen?: string, request?: Push,
 * }} Note
 */
/** @typedef {(letters: Letter[]) => void} Report */
/** @typedef {{ leads: boolean, post: (note: Note) => void, steal: () => void, leave: (letters?: Letter[], report?: Report) => void }} Tabs */

const PROTOCOL = 'keywire.v1';
/** The server may ask this client. */
const ANSWERS = 'answers.keywire';
const PING = '{"flag":"kw:ping"}';

/** Prefix of the flags and ids of keywire itself. */
const OWN = /^kw:/;

/** The server is shutting down. The reason is the time in ms over which clients should spread their return. */
const DRAINING = 4005;

/** Standard close codes after which another attempt would end in the same way. */
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];

/** The server's first message about the log, or a request, which only an open connection can answer. */
const OPENS = /"flag":"kw:from"|"ask":true/;

/** Time in which the log tells its end before the connection counts as open without it. */
const PLACE = 1000;

/** Time in which tabs offer to answer a request of the server. */
const OFFERS = 200;

/** Longest timer, 24 days. A longer one would fire at once. */
const LONGEST = 2 ** 31 - 1;

/** Options that are numbers, with their defaults. */
const NUMBERS = {
  renew: 60_000, queue: 64, min: 500, max: 20_000, settle: 5_000, attempt: 10_000, heartbeat: 25_000, pong: 10_000,
};

/** @type {End} */
const LOST = { code: 1006, reason: '', final: false };

/** @typedef {ReturnType<typeof setTimeout> | undefined} Timer */

/** @param {number} code */
const isFinal = (code) => (code >= 4500 && code < 5000) || FINAL.includes(code);

/**
 * Bounds a time. A value that is not a number from 0 on counts as not given.
 * @param {any} value @param {any} [otherwise] @returns {any}
 */
function bounded(value, otherwise) {
  // parseFloat accepts '5s', Number accepts null, '' and []. A value that both accept is a number.
  const number = parseFloat(value);
  return number === Number(value) && number >= 0 ? Math.min(number, LONGEST) : otherwise;
}

/** Clock for durations. The wall clock jumps, this one does not. */
const now = () => performance.now();

const isShown = () => !globalThis.document?.hidden;

/** @param {string} text */
const base64url = (text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');

/** Expiry of a JWT, in ms. NaN if this is no JWT or has no expiry. @param {string} token */
function expiry(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).exp * 1000;
  } catch {
    return NaN;
  }
}

/**
 * Joins the tabs that share a connection. The tab that holds the lock is the leader and has the socket. When that tab is gone,
 * for whatever reason, the browser gives the lock to the next tab.
 * @param {string} name
 * @param {(note: Note) => void} hear
 * @param {(stolen: boolean) => void} lead Called when this tab gets the lock. `stolen`: from a silent leader.
 * @param {(error: Error) => void} lost Called when this tab loses the lock, or when locks are not available.
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
    /** Reports the letters that the leader did not take within a second. @param {Letter[]} [letters] @param {Report} [report] */
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

/**
 * The client. `Pushes` is optional: an interface with the type of `data` for each flag.
 * @template {object} [Pushes=Record<string, any>]
 */
export class Keywire extends EventTarget {
  /** @type {(() => string | URL) | undefined} Returns the URL of an attempt. */
  #url;
  /** The first URL. It names this client to other tabs and to storage. */
  #name;
  #options;
  /** @type {Status} */
  #status = 'idle';
  /** @type {WebSocket | null} */
  #socket = null;
  /** Event listeners on the page, from `connect` to the final end. */
  #life = new AbortController();
  /** One attempt and its connection. Aborting it cuts off the socket's events and a credential that is still awaited. */
  #attempt = new AbortController();
  /** The request for a fresh credential. */
  #asking = new AbortController();
  /** @type {Timer} While waiting: the next attempt. While connecting: the timeout of the attempt. */
  #timer;
  /** @type {Timer} */
  #pulse;
  /** @type {Timer} */
  #renewal;
  #failures = 0;
  #openedAt = Infinity;
  /** Time of the next attempt. */
  #due = 0;
  /** Expiry of the credential, by the clock of `now`. */
  #expires = NaN;
  /** Number of renewals of the credential on this connection. */
  #renewals = 0;
  /** Time of the last sign of life of the other side, and whether a ping was sent since. */
  #heard = 0;
  #asked = false;
  /** Factor for `pong`. It grows after a connection that was given up for its silence. */
  #patience = 1;
  /** Prefix of this tab's ids. No other tab has it. */
  #tab = `kw:${Math.random().toString(36).slice(2)}:`;
  #lastId = 0;
  /** @type {Letter[]} Messages that no socket has taken yet. A message that a socket took is never sent again. */
  #queue = [];
  /** @type {Map<number | string, { resolve: Handler, reject: (error: Error) => void, timer: Timer, flag: string }>} */
  #requests = new Map();
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {Map<string, Answerer>} */
  #answerers = new Map();
  /** Requests of the server for which this tab, as the leader, chooses a tab. @type {Map<any, { request: Push, tab: string }>} */
  #asks = new Map();
  /** @type {Tabs | null} */
  #tabs = null;
  /** Time at which the leader began to lead. Of two tabs that believe to be the leader, the later one is. */
  #term = 0;
  #former = NaN;
  /** Id of the connection, among all that the tabs had. */
  #epoch = '';
  /** @type {string | undefined} The position in the log up to which the handlers have run. */
  #at;
  /** Whether this tab is reading pushes that it missed, and whether it missed more since. */
  #catching = false;
  #missed = false;
  /** @type {Timer} Timeout for the server's first message about the log. */
  #word;

  /**
   * @param {string | URL | (() => string | URL)} url URL of the endpoint: ws(s), http(s), or relative to the page. A function is called
   *   here and at each attempt.
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    if (typeof url === 'function') url = (this.#url = url)();
    // While a page is rendered on a server, a relative URL has no base yet.
    this.#name = globalThis.location ? new URL(url, location.href).href : String(url);
    this.#options = { ...options, ...NUMBERS, param: options.param ?? 'token', delay: bounded(options.delay) };
    for (const name of /** @type {(keyof typeof NUMBERS)[]} */ (Object.keys(NUMBERS))) {
      this.#options[name] = bounded(options[name], NUMBERS[name]);
    }
    this.#memory((storage, name) => { this.#at = storage.getItem(name) ?? undefined; });
  }

  /** The current status. */
  get status() {
    return this.#status;
  }

  /** The current WebSocket, if this tab has one. */
  get socket() {
    return this.#socket;
  }

  /** Connects. While waiting: at once. While connecting or open: does nothing. Throws for a relative URL without a page. */
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

  /** Closes until `connect` is called. Messages that a socket took are sent first. The event `close` lists the others: `unsent`. */
  close() {
    if (this.#status === 'closed') return;
    // The leader may be about to take messages that this tab gave it.
    const tabs = this.#isOpen && this.#follows ? this.#tabs : null;
    if (tabs) this.#tabs = null;
    this.#leave();
    this.#over({ code: 1000, reason: '', final: true }, undefined, tabs);
  }

  /**
   * Calls `handler` with every push of this flag. `'*'`: with every push. Returns a function that removes the handler.
   * @template {keyof Pushes & string | '*'} Flag
   * @param {Flag} flag
   * @param {(push: PushOf<Pushes, Flag>) => void} handler
   */
  on(flag, handler) {
    this.#handlers.set(flag, (this.#handlers.get(flag) ?? new Set()).add(/** @type {Handler} */ (handler)));
    return () => this.off(flag, handler);
  }

  /**
   * Removes a handler.
   * @template {keyof Pushes & string | '*'} Flag
   * @param {Flag} flag
   * @param {(push: PushOf<Pushes, Flag>) => void} handler
   */
  off(flag, handler) {
    this.#handlers.get(flag)?.delete(/** @type {Handler} */ (handler));
  }

  /**
   * Answers the server's requests of this flag with the value that the handler returns. If it throws, the server gets the message
   * of the error. One handler for each flag: the last one counts. Returns a function that removes the handler.
   * @param {string} flag
   * @param {Answerer} handler
   */
  answer(flag, handler) {
    this.#answerers.set(flag, handler);
    return () => {
      if (this.#answerers.get(flag) === handler) this.#answerers.delete(flag);
    };
  }

  /**
   * Sends now, or when the connection is open. Throws if the client is closed or the queue is full.
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

  /** Sends a command. @param {unknown} body */
  command(body) {
    this.send({ flag: 'command', body });
  }

  /** Sends an `inform`. @param {string} reception Key of the recipient. `''`: no particular one. @param {unknown} body */
  inform(reception, body) {
    this.send({ flag: 'inform', reception, body });
  }

  /**
   * Sends a command (or another flag) and resolves with its reply, whatever the reply's code. Rejects after the timeout, or when
   * the connection that took the request ends.
   * @template [Data=any] Type of the reply's `data`.
   * @param {unknown} body
   * @param {{ timeout?: number, flag?: string, reception?: string }} [options] Default timeout: 10 s.
   * @returns {Promise<ReplyOf<Data>>}
   */
  request(body, { timeout, flag = 'command', reception } = {}) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId();
      this.send({ flag, reception, body, id });
      const timer = setTimeout(() => this.#fail(id, 'no reply in time'), bounded(timeout, 10_000));
      this.#requests.set(id, { resolve, reject, timer, flag });
    });
  }

  /** Marks all pushes up to a position as seen by the user, on all devices. @param {string} [at] In a handler: `push.at`. */
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
      // A missing credential may come later, so this counts as a lost connection.
      if (!signal.aborted) this.#lose(error);
      return;
    }
    const socket = this.#socket;
    // A browser cannot read an HTTP refusal, so the server opens the socket to refuse. Only its first message means that the
    // client is accepted.
    socket.addEventListener('open', () => socket.send(PING), { signal });
    // A page that begins at the end of the log is open when it knows its position: nothing kept from then on is missed.
    const seeks = this.#options.follow === 'now' && !this.#at;
    /** @type {Timer} */
    let place;
    socket.addEventListener('message', ({ data }) => {
      if (this.#status === 'connecting') {
        if (!seeks || OPENS.test(data)) this.#opened();
        else if (!place) {
          // A log that is away does not keep the page waiting.
          clearTimeout(this.#timer);
          place = this.#timer = setTimeout(() => this.#opened(), PLACE);
        }
      }
      if (signal.aborted) return;
      // Other tabs come first: they get the push whatever a handler of this tab does.
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
    // `localStorage.getItem` returns null.
    if (got === undefined || got === null) return { token: undefined, expires: NaN };
    const { token, expiresAt = undefined } = typeof got === 'object' ? got : { token: got };
    if (!token || typeof token !== 'string') throw new TypeError('`key` gave neither a string nor a { token }');
    // A fixed credential cannot be renewed. The wall clock is read only here.
    return { token, expires: asked ? now() + Number(expiresAt ?? expiry(token)) - Date.now() : NaN };
  }

  #endpoint(address = /** @type {string | URL} */ (this.#name)) {
    try {
      const url = new URL(address, globalThis.location?.href);
      url.protocol = url.protocol.replace(/^http/, 'ws');
      url.hash = '';
      return url;
    } catch {
      throw new TypeError('the URL is not absolute, and there is no page');
    }
  }

  /**
   * The URL and subprotocols, with the credential in its place.
   * @param {string} [token]
   * @returns {[url: string, protocols: string[]]}
   */
  #address(token) {
    const { via, param, follow } = this.#options;
    const url = this.#endpoint(this.#url?.());
    const protocols = [PROTOCOL, ANSWERS];
    // The server judges positions. An invalid one must not keep the page from connecting.
    if (follow) protocols.push(`from.keywire.${(this.#at ?? follow).replace(/[^\w.]/g, '_')}`);
    if (token === undefined) return [url.href, protocols];
    if (via === 'query') url.searchParams.set(param, token);
    else if (via === 'protocol') protocols.push(`base64url.bearer.keywire.${base64url(token)}`);
    // Browsers resolve a path segment of dots.
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

  /** Renews the credential in time. After a failure it tries again while there is time. After that the client reconnects. */
  #renew() {
    clearTimeout(this.#renewal);
    const { renew, attempt } = this.#options;
    const left = this.#expires - now();
    // The expiry is unknown, or seems to have passed: then this clock is wrong.
    if (!(left > 1000)) return;
    // A clock that is slightly wrong makes each fresh credential look short-lived. The pauses between renewals grow.
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

  /** Gives up the attempt or the connection. @param {unknown} why */
  #lose(why) {
    const { signal } = this.#attempt;
    // A promise may be rejected without a reason.
    this.#emit('error', why ?? new Error('no credential'));
    if (!signal.aborted) this.#end(LOST);
  }

  /** The server closed the connection, or it was lost. @param {{ code: number, reason: string }} end */
  #end({ code, reason }) {
    const final = isFinal(code);
    if (final || now() - this.#openedAt >= this.#options.settle) this.#failures = 0;
    const delay = final ? undefined : this.#delay(code, reason);
    if (!final) this.#failures += 1;
    this.#over({ code, reason, final }, delay);
  }

  /**
   * The delay before the next attempt. It is random, so that the pages of a server that went away do not all return in the same
   * second.
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
   * The end of a connection, of an attempt, or of the client. With a delay, this tab reconnects.
   * @param {End} end
   * @param {number} [delay]
   * @param {Tabs | null} [tabs] Tabs that may still take waiting messages.
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
    this.#asks.clear();
    /** @type {Letter[]} */
    let unsent = [];
    // An unsent request is reported by its rejection.
    if (end.final) [unsent, this.#queue] = [this.#queue.filter(({ id = '' }) => !this.#requests.has(id)), []];
    if (delay !== undefined && !this.#follows) this.#timer = setTimeout(() => this.connect(), delay);
    // A request that the lost socket took gets no reply. A queued request still can.
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
    this.#post({ state: { status, epoch: this.#epoch, delay, end, at: this.#at } });
    if (status === 'closed') {
      this.#life.abort();
      this.#leave();
    }
    this.#beat();
    this.#emit('status', { status, delay });
  }

  // ── Heartbeat ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Waits for silence: of the server in the tab with the socket, of the leader in the other tabs. */
  #beat() {
    const { heartbeat } = this.#options;
    clearTimeout(this.#pulse);
    this.#asked = false;
    if (!heartbeat || !(this.#follows || this.#status === 'open')) return;
    const left = () => this.#heard + heartbeat - now();
    this.#pulse = setTimeout(() => (left() > 0 ? this.#beat() : this.#probe()), left());
  }

  /** Pings, and gives the connection or the leader up without an answer. */
  #probe(again = false) {
    const { heartbeat, pong } = this.#options;
    clearTimeout(this.#pulse);
    const buffered = () => this.#socket?.bufferedAmount ?? 0;
    // Measured before the ping: a ping that leaves the buffer says nothing about the other side.
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
        // The timer is late, so this page or its machine slept. Ping again before the other side is blamed.
        this.#probe(true);
      } else if (buffered() < unsent) {
        // The ping waits behind data that the other side is still taking.
        this.#probe(again);
      } else if (this.#follows) {
        this.#tabs?.steal();
      } else {
        // A message that is still arriving is invisible here. The next connection has more time for it.
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

  /** Handles an event of the page or the network. @param {PageTransitionEvent} event */
  #turn({ type, persisted }) {
    if (type === 'pagehide' || (type === 'freeze' && this.#tabs?.leads)) {
      // A page in the back/forward cache may have no socket. A frozen leader would keep its socket from all tabs.
      clearTimeout(this.#timer);
      this.#leave();
      if (this.#status !== 'waiting') this.#over({ ...LOST, code: 1001 });
    } else if (type === 'freeze' || (type === 'pageshow' && !persisted) || (type === 'visibilitychange' && document.hidden)) {
      return;
    } else if (this.#status === 'waiting') {
      if (type !== 'offline') this.connect();
    } else if (this.#options.heartbeat && !this.#asked && (this.#follows || this.#status === 'open')) {
      // The socket may have died while the page was away.
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
      // Without locks, the tab has its own connection.
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
    // A listener of the page may have closed the client.
    if (this.#tabs) this.connect();
  }

  /** Sends a note to all tabs, if this tab is the leader. @param {Note} note */
  #post(note) {
    if (this.#tabs?.leads) this.#tabs.post({ term: this.#term, ...note });
  }

  /** @param {Note} note */
  #hear({ term, state, push, taken, ask, letter, epoch, offer, tab, shown, chosen, request }) {
    const { leads } = /** @type {Tabs} */ (this.#tabs);
    if (leads && ask === 'now') this.connect();
    else if (leads && ask) {
      this.#post({ state: { status: this.#status, epoch: this.#epoch, delay: Math.max(this.#due - now(), 0), at: this.#at } });
    } else if (leads && letter && epoch === this.#epoch && this.#isOpen) {
      // Announced before it is sent: if this tab dies in between, a message is lost, but none is sent twice.
      this.#post({ taken: letter.n });
      this.#pass(letter);
    }
    if (chosen === this.#tab && request) void this.#reply(request);
    const asked = this.#asks.get(offer);
    if (asked && tab) {
      asked.tab ||= tab;
      if (shown) this.#choose(offer, tab);
    }
    // A leader still accepts the last notes of the leader before it.
    if (term === undefined || (leads ? term !== this.#former : term < this.#term)) return;
    this.#heard = now();
    this.#asked = false;
    if (taken) this.#queue = this.#queue.filter(({ n }) => n !== taken);
    else if (!state) this.#receive(push);
    else if (!leads) this.#mirror(term, state);
    else if (state.end?.final) this.#over(state.end);
  }

  /** Copies the state of the leader. @param {number} term @param {State} state */
  #mirror(term, { status, epoch, delay, end, at }) {
    this.#term = term;
    // A tab that begins at the end of the log begins where its leader is. It may have to lead before the next kept push.
    if (at && !this.#at && this.#options.follow === 'now') this.#keep(at);
    const tabs = this.#tabs;
    if (this.#status === 'open' && (status !== 'open' || epoch !== this.#epoch)) this.#over(end ?? LOST, delay);
    else if (end) this.#over(end, delay);
    // A listener of the page may have closed the client meanwhile.
    if (this.#tabs !== tabs || status === this.#status) return;
    this.#epoch = epoch;
    if (status === 'open') this.#opened();
    else this.#become(status, delay);
  }

  // ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether messages can be sent. The status alone is not enough: a closing socket accepts and drops messages. */
  get #isOpen() {
    return this.#status === 'open' && (this.#follows || this.#socket?.readyState === WebSocket.OPEN);
  }

  /** Sends a message, or gives it to the leader. Returns whether a socket of this tab took it. @param {Letter} letter */
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
    if (push.ask) return this.#consider(push);
    const id = String(push.id);
    const request = this.#settle(push.id);
    request?.resolve(push);
    if (push.flag === 'kw:from') this.#place(push.data.at, push.data.gap);
    if (push.flag === 'kw:gap') this.#place(push.data.at, push.data.why);
    // Messages of keywire itself, and replies to another tab, are not for the page.
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
          // A handler that throws does not stop the others. The error goes to the console.
          queueMicrotask(() => { throw error; });
        }
      }
    }
    if (push.msg) this.#emit('notice', push);
    // After the handlers: a push that no handler has had comes again.
    if (push.at) this.#keep(push.at);
  }

  // ── Requests of the server ──────────────────────────────────────────────────────────────────────────────────────────

  /** Answers, or finds a tab that does: one that has a handler, and that the user sees if there is such a tab. @param {Push} request */
  #consider(request) {
    const { id, flag = '' } = request;
    const shown = isShown();
    const tab = this.#answerers.has(flag) ? this.#tab : '';
    if (this.#follows) {
      if (tab) this.#tabs?.post({ offer: id, tab, shown });
    } else if (!this.#tabs || (tab && shown)) {
      void this.#reply(request);
    } else {
      this.#asks.set(id, { request, tab });
      setTimeout(() => this.#choose(id), OFFERS);
    }
  }

  /** Gives a request to a tab, unless one has it already. @param {any} id @param {string} [tab] */
  #choose(id, tab) {
    const asked = this.#asks.get(id);
    if (!asked) return;
    this.#asks.delete(id);
    const { request, tab: chosen } = { ...asked, tab: tab ?? asked.tab };
    if (!chosen || chosen === this.#tab) void this.#reply(request);
    // Without a term, so that tabs with an older version of this file ignore it.
    else this.#tabs?.post({ chosen, request });
  }

  /** @param {Push} request */
  async #reply(request) {
    const { id, flag = '' } = request;
    const epoch = this.#epoch;
    const handler = this.#answerers.get(flag);
    let text = '';
    /** @param {unknown} why */
    const fail = (why) => {
      const error = typeof why === 'string' ? why : 'failed';
      const { read } = new TextEncoder().encodeInto(error, new Uint8Array(256));
      text = JSON.stringify({ flag: 'kw:answer', id, error: error.slice(0, read) });
    };
    try {
      if (handler) text = JSON.stringify({ flag: 'kw:answer', id, body: await handler(request) });
      else fail(`no handler for ${flag}`);
    } catch (error) {
      fail(/** @type {any} */ (error)?.message ?? error);
      this.#emit('error', error);
    }
    // Another connection knows nothing of this request.
    if (this.#isOpen && epoch === this.#epoch) this.#pass({ n: this.#nextId(), text });
  }

  // ── The log of kept pushes ──────────────────────────────────────────────────────────────────────────────────────────

  /** Whether the handlers have not had this push yet, and, if it is kept, whether it is the next one. @param {string} [at] */
  #isNews(at) {
    if (!at || !this.#at || !this.#options.follow) return true;
    const steps = parseInt(at) - parseInt(this.#at);
    if (steps < 2 || !this.#follows) return steps > 0;
    // Notes between tabs can be lost.
    void this.#catchUp();
    return false;
  }

  /** Handles the position at which following begins or goes on. @param {string} at @param {'trimmed' | 'reset' | null} why Of a gap. */
  #place(at, why) {
    clearTimeout(this.#word);
    if (!this.#options.follow) return;
    if (!this.#follows || !this.#at || why === 'reset') {
      this.#keep(at);
      if (why) this.#emit('gap', { why, at });
    } else if (parseInt(at) > parseInt(this.#at)) {
      // This is the leader's position. This tab has its own.
      void this.#catchUp();
    }
  }

  /** Reads the pushes that the leader got and this tab missed. */
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

  /** Asks whether there is a log, since no message about it came: it may be unavailable. */
  async #askForLog() {
    const reply = await this.request({ limit: 0 }, { flag: 'kw:read' }).catch(() => null);
    if (reply?.code === '44') this.#emit('error', new Error('this server keeps no pushes'));
  }

  /** @param {string} at */
  #keep(at) {
    this.#at = at;
    this.#memory((storage, name) => storage.setItem(name, at));
  }

  /** Storage that outlives a reload, if the page may use any. @param {(storage: Storage, name: string) => void} use */
  #memory(use) {
    const { resume, shared = '' } = this.#options;
    try {
      if (resume === 'reload') use(sessionStorage, `keywire ${this.#name} ${shared}`);
    } catch {
      // Without storage, a reload begins without a position.
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
