export type Status = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';
export type Push = {
    code: string;
    msg: string;
    data?: any;
    flag?: string;
    sender?: string;
    id?: number | string;
    group?: string;
    at?: string;
    time?: number;
    ask?: true;
};
export type Envelope = {
    flag: string;
    reception?: string;
    body?: unknown;
    id?: number | string;
};
export type Handler = (push: Push) => void;
export type Answerer = (push: Push) => unknown;
export type PushOf<Pushes extends object, Flag extends string> = Flag extends keyof Pushes ? Omit<Push, 'data'> & {
    data: Pushes[Flag];
} : Push;
export type ReplyOf<Data = any> = Omit<Push, 'data'> & {
    data?: Data;
};
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
     * Credential, or a function that returns it. Without it the URL is used as it is.
     */
    key?: Credential | Ask | null;
    /**
     * Place of the credential: last segment of the path, query, or subprotocol.
     */
    via?: 'path' | 'query' | 'protocol';
    /**
     * Name of the credential in the query.
     */
    param?: string;
    /**
     * Time before the end of a credential at which a fresh one replaces it. Only if `key` is a function.
     */
    renew?: number;
    /**
     * Number of messages that may wait for a connection. 0: `send` throws without a connection.
     */
    queue?: number;
    /**
     * Shortest delay before the client reconnects.
     */
    min?: number;
    /**
     * Longest random part of the delay.
     */
    max?: number;
    /**
     * Fixed delay, instead of the random one.
     */
    delay?: number;
    /**
     * Age at which a connection counts as good: the next delays start small again.
     */
    settle?: number;
    /**
     * Timeout of an attempt, from the call of `key` to the first message of the server.
     */
    attempt?: number;
    /**
     * Silence after which the client pings the server. 0: no pings.
     */
    heartbeat?: number;
    /**
     * Timeout for the answer to a ping.
     */
    pong?: number;
    /**
     * Follows the log of kept pushes: from its end, from the first push
     * that the user has not seen, or from a position.
     */
    follow?: 'now' | 'unread' | string | false;
    /**
     * Keeps the position in the log when the page is reloaded.
     */
    resume?: 'reload';
    /**
     * One connection for all tabs of this origin with the same URL, and the same name.
     */
    shared?: boolean | string;
};
export type Events = {
    open: null;
    close: End;
    /**
     * New status. While waiting, `delay` in ms.
     */
    status: {
        status: Status;
        delay?: number;
    };
    /**
     * For the console. The consequences are told by `close` and `status`.
     */
    error: unknown;
    /**
     * A push with a `msg`, which is meant for a person.
     */
    notice: Push;
    /**
     * Kept pushes are missing: load the state of the page again.
     */
    gap: {
        why: 'trimmed' | 'reset';
        at: string;
    };
};
/**
 * The client. `Pushes` is optional: an interface with the type of `data` for each flag.
 * @template {object} [Pushes=Record<string, any>]
 */
export declare class Keywire<Pushes extends object = Record<string, any>> extends EventTarget {
    #private;
    /**
     * @param {string | URL | (() => string | URL)} url URL of the endpoint: ws(s), http(s), or relative to the page. A function is called
     *   here and at each attempt.
     * @param {Options} [options]
     */
    constructor(url: string | URL | (() => string | URL), options?: Options);
    /** The current status. */
    get status(): Status;
    /** The current WebSocket, if this tab has one. */
    get socket(): WebSocket | null;
    /** Connects. While waiting: at once. While connecting or open: does nothing. Throws for a relative URL without a page. */
    connect(): this;
    /** Closes until `connect` is called. Messages that a socket took are sent first. The event `close` lists the others: `unsent`. */
    close(): void;
    /**
     * Calls `handler` with every push of this flag. `'*'`: with every push. Returns a function that removes the handler.
     * @template {keyof Pushes & string | '*'} Flag
     * @param {Flag} flag
     * @param {(push: PushOf<Pushes, Flag>) => void} handler
     */
    on<Flag extends (keyof Pushes & string) | '*'>(flag: Flag, handler: (push: PushOf<Pushes, Flag>) => void): () => void;
    /**
     * Removes a handler.
     * @template {keyof Pushes & string | '*'} Flag
     * @param {Flag} flag
     * @param {(push: PushOf<Pushes, Flag>) => void} handler
     */
    off<Flag extends (keyof Pushes & string) | '*'>(flag: Flag, handler: (push: PushOf<Pushes, Flag>) => void): void;
    /**
     * Answers the server's requests of this flag with the value that the handler returns. If it throws, the server gets the message
     * of the error. One handler for each flag: the last one counts. Returns a function that removes the handler.
     * @param {string} flag
     * @param {Answerer} handler
     */
    answer(flag: string, handler: Answerer): () => void;
    /**
     * Sends now, or when the connection is open. Throws if the client is closed or the queue is full.
     * @param {Envelope} envelope
     */
    send(envelope: Envelope): void;
    /** Sends a command. @param {unknown} body */
    command(body: unknown): void;
    /** Sends an `inform`. @param {string} reception Key of the recipient. `''`: no particular one. @param {unknown} body */
    inform(reception: string, body: unknown): void;
    /**
     * Sends a command (or another flag) and resolves with its reply, whatever the reply's code. Rejects after the timeout, or when
     * the connection that took the request ends.
     * @template [Data=any] Type of the reply's `data`.
     * @param {unknown} body
     * @param {{ timeout?: number, flag?: string, reception?: string }} [options] Default timeout: 10 s.
     * @returns {Promise<ReplyOf<Data>>}
     */
    request<Data = any>(body: unknown, { timeout, flag, reception }?: {
        timeout?: number;
        flag?: string;
        reception?: string;
    }): Promise<ReplyOf<Data>>;
    /** Marks all pushes up to a position as seen by the user, on all devices. @param {string} [at] In a handler: `push.at`. */
    seen(at?: string): void;
    /**
     * @template {keyof Events} T
     * @param {T} type
     * @param {((event: CustomEvent<Events[T]>) => void) | EventListenerObject | null} listener
     * @param {boolean | AddEventListenerOptions} [options]
     */
    addEventListener<T extends keyof Events>(type: T, listener: ((event: CustomEvent<Events[T]>) => void) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}
