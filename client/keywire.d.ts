export type Status = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';
export type Push = {
    code: string;
    msg: string;
    data?: any;
    flag?: string;
    sender?: string;
    id?: number | string;
    at?: string;
    time?: number;
};
export type Envelope = {
    flag: string;
    reception?: string;
    body?: unknown;
    id?: number | string;
};
export type Handler = (push: Push) => void;
export type Credential = string | {
    token: string;
    expiresAt?: number | Date;
};
export type Ask = (signal: AbortSignal) => Credential | null | undefined | Promise<Credential | null | undefined>;
export type End = {
    code: number;
    reason: string;
    final: boolean;
    unsent?: Envelope[];
};
export type Options = {
    /**
     * the credential, or who to ask for it; without one the URL is used as it is
     */
    key?: Credential | Ask | null;
    /**
     * where it goes: a last segment of the path, the query, the subprotocols
     */
    via?: 'path' | 'query' | 'protocol';
    /**
     * its name in the query
     */
    param?: string;
    /**
     * how long before its end a credential that was asked for is exchanged for a fresh one
     */
    renew?: number;
    /**
     * how many messages wait for a connection; with 0 `send` throws while there is none
     */
    queue?: number;
    /**
     * the shortest delay before coming back
     */
    min?: number;
    /**
     * the cap of the delay's random part
     */
    max?: number;
    /**
     * always wait so long instead
     */
    delay?: number;
    /**
     * a connection that lived so long was a good one: delays start small again
     */
    settle?: number;
    /**
     * the longest an attempt may take, from asking for the credential to the server's word
     */
    attempt?: number;
    /**
     * after so long a silence the server is asked for a sign of life; 0 turns that off
     */
    heartbeat?: number;
    /**
     * how long it has to give one
     */
    pong?: number;
    /**
     * follows the log of kept pushes: from its end, from what the user has
     * not seen, or from a position
     */
    follow?: 'now' | 'unread' | string | false;
    /**
     * the position outlives a reload of the page
     */
    resume?: 'reload';
    /**
     * one connection for all tabs of this origin that have the same URL here, and the same name
     */
    shared?: boolean | string;
};
export type Events = {
    open: null;
    close: End;
    /**
     * `delay` in ms while waiting
     */
    status: {
        status: Status;
        delay?: number;
    };
    /**
     * for the console; whatever follows from it shows as `close` and `status`
     */
    error: unknown;
    /**
     * a push with a `msg`, which is meant for a person
     */
    notice: Push;
    /**
     * kept pushes are missing: fetch the state of the page again
     */
    gap: {
        why: 'trimmed' | 'reset';
        at: string;
    };
};
export declare class Keywire extends EventTarget {
    #private;
    /** @param {string | URL} url of the endpoint, ws(s) or http(s); may be relative to the page @param {Options} [options] */
    constructor(url: string | URL, options?: Options);
    /** The one state there is. */
    get status(): Status;
    /** The present WebSocket, if this tab has one. */
    get socket(): WebSocket | null;
    /** Connects; while waiting, at once. Does nothing while there is a connection or an attempt. Throws for a relative URL without a page. */
    connect(): this;
    /** Closes for good: only another `connect` opens it again. What a socket took is sent first; the event `close` tells what is `unsent`. */
    close(): void;
    /**
     * Calls `handler` with every push of this flag, or with every push at all for `'*'`. Returns the undoing of it.
     * @param {string} flag
     * @param {Handler} handler
     */
    on(flag: string, handler: Handler): () => void;
    /** @param {string} flag @param {Handler} handler */
    off(flag: string, handler: Handler): void;
    /**
     * Sends now, or once connected. Throws when that cannot be promised: closed, or the queue is full.
     * @param {Envelope} envelope
     */
    send(envelope: Envelope): void;
    /** @param {unknown} body */
    command(body: unknown): void;
    /** @param {string} reception the key it goes to; `''` is nobody in particular @param {unknown} body */
    inform(reception: string, body: unknown): void;
    /**
     * A command (or another flag) whose reply comes back as a promise, whatever the reply's code says. Rejects when no reply
     * can come any more: after the timeout, or with the connection that the request went into.
     * @param {unknown} body
     * @param {{ timeout?: number, flag?: string, reception?: string }} [options] the timeout is 10 s by default
     * @returns {Promise<Push>}
     */
    request(body: unknown, { timeout, flag, reception }?: {
        timeout?: number;
        flag?: string;
        reception?: string;
    }): Promise<Push>;
    /** The user has read everything up to here, on any device. @param {string} [at] inside of a handler: `push.at` */
    seen(at?: string): void;
    /**
     * @template {keyof Events} T
     * @param {T} type
     * @param {((event: CustomEvent<Events[T]>) => void) | EventListenerObject | null} listener
     * @param {boolean | AddEventListenerOptions} [options]
     */
    addEventListener<T extends keyof Events>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}
