/**
 * The shapes that cross the wire and the ones an app sees. Types only: this module has no code.
 * Times are milliseconds since the Unix epoch, durations end in `Ms` (or `_ms` on the wire).
 */
export type Position = {
    epoch: string;
    seq: number;
};
export type Event = {
    seq: number;
    at: number;
    from: string;
    type: string;
    body: any;
    deleted?: true;
    tag?: string;
    own?: true;
};
export type Member = {
    user: string;
    meta: any;
    sessions: number;
};
export type PresenceList = {
    count: number;
    members?: Member[];
};
export type SendResult = {
    seq: number;
    epoch: string;
    at: number;
    result?: any;
    duplicate?: true;
};
export type ReadResult = {
    epoch: string;
    seq: number;
    state: any;
};
export type HistoryResult = {
    epoch: string;
    events: Event[];
    more: boolean;
};
export type Rate = {
    per_second: number;
    burst: number;
};
export type Rates = {
    requests?: Rate;
    bytes?: Rate;
    user_requests?: Rate;
};
export type Limits = {
    max_message_bytes: number;
    max_body_bytes: number;
    max_subscriptions: number;
    max_in_flight: number;
    ping_interval_ms: number;
    /**
     * absent where the server is older
     */
    rates?: Rates;
};
export type SubscribeResult = {
    entity: string;
    epoch: string;
    seq: number;
    events?: Event[];
    snapshot?: any;
    reason?: string;
    presence?: PresenceList;
};
export type SubscriptionAnswer = {
    entity: string;
    result?: SubscribeResult;
    error?: RpcErrorBody;
};
export type PresenceAnswer = {
    entity: string;
    result?: {
        count: number;
    };
    error?: RpcErrorBody;
};
export type ConnectResult = {
    session: string;
    client: string;
    user: string;
    expires_at?: number;
    /**
     * the server's clock, in ms since the epoch
     */
    now: number;
    server: string;
    limits: Limits;
    /**
     * the connection took the place of the lost one, its presence included
     */
    resumed?: true;
    subscriptions?: SubscriptionAnswer[];
    presence?: PresenceAnswer[];
};
export type RpcErrorBody = {
    code: number;
    message: string;
    data?: {
        code?: string;
        retry_after_ms?: number;
        seq?: number;
        reason?: string;
    };
};
export type SnapshotItem = {
    kind: "snapshot";
    entity: string;
    epoch: string;
    seq: number;
    snapshot: any;
    reason?: string;
};
export type ResetItem = {
    kind: "reset";
    entity: string;
    epoch: string;
    seq: number;
    snapshot: any;
    reason?: string;
};
export type EventItem = {
    kind: "event";
    entity: string;
} & Event;
export type SignalItem = {
    kind: "signal";
    entity: string;
    from: string;
    type: string;
    body: any;
    key?: string;
};
export type PresenceItem = {
    kind: "presence";
    entity: string;
    count: number;
    members: Member[] | null;
    joined: Member[];
    updated: Member[];
    left: string[];
};
export type Item = SnapshotItem | ResetItem | EventItem | SignalItem | PresenceItem;
export type SubscribeOptions = {
    /**
     * what the app already has; without it the subscription starts with a snapshot
     */
    after?: Position;
    events?: "replay" | "disconnect" | "none";
    signals?: "drop_oldest" | "latest" | "none";
    /**
     * receive presence items (default false)
     */
    presence?: boolean;
    /**
     * items held for the async iterator (default 1000)
     */
    buffer?: number;
};
export type State = "connecting" | "connected" | "waiting" | "closed";
export type StateChange = {
    state: State;
    previous: State;
    nextAttemptAt: number | null;
    error: import("./errors.js").GreenroomError | null;
};
export type RawMessage = {
    direction: "in" | "out";
    data: string;
    at: number;
};
export type PendingOp = {
    n: number | null;
    entity: string;
    type: string;
    body: any;
    /**
     * `sent`: it may have happened already, though its answer is not here; an earlier page may have sent it
     */
    state: "queued" | "sent";
    /**
     * how often this page sent it
     */
    attempts: number;
    /**
     * sent on the present connection and not answered yet
     */
    inFlight: boolean;
    /**
     * it is in IndexedDB, and outlives this page
     */
    kept: boolean;
    /**
     * an earlier page, or one that is gone, left it
     */
    restored: boolean;
};
export type Clock = {
    /**
     * the date, which a user or the network may set
     */
    now: () => number;
    /**
     * milliseconds since some moment, which nobody sets: for durations
     */
    monotonic: () => number;
    setTimeout: (run: () => void, ms: number) => any;
    clearTimeout: (handle: any) => void;
    /**
     * in [0, 1)
     */
    random: () => number;
};
export type StorageLike = {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
};
export type TokenValue = string | null | undefined;
export type WebSocketLike = {
    readyState: number;
    bufferedAmount: number;
    send: (data: string) => void;
    close: (code?: number, reason?: string) => void;
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
};
export type WebSocketClass = new (url: string, protocols: string[]) => any;
export type ConnectOptions = {
    /**
     * `ws://`, `wss://`, `http://` or `https://`; in a page the default is `/ws` on the page's host
     */
    url?: string;
    /**
     * a JWT, or a function asked for one at each connect
     * and when the server says that the present one is about to expire
     */
    token?: TokenValue | (() => TokenValue | Promise<TokenValue>);
    /**
     * for Node before 22, e.g. that of the package `ws`
     */
    WebSocket?: WebSocketClass;
    /**
     * full-jitter exponential backoff (500 ms, 30 s)
     */
    backoff?: {
        baseMs?: number;
        capMs?: number;
    };
    /**
     * unanswered ops and waiting calls at most, each (default 1000)
     */
    maxPending?: number;
    /**
     * ops of one entity in flight at once (default 1, which keeps their order come what may)
     */
    pipeline?: number;
    /**
     * how often a refused op is tried again (default 10)
     */
    maxRetries?: number;
    /**
     * from opening the socket to the answer to `connect` (default 10 s)
     */
    connectTimeoutMs?: number;
    /**
     * how long an answer may take (default 30 s)
     */
    answerTimeoutMs?: number;
    /**
     * the client id to present; it must not be in use elsewhere
     */
    client?: string;
    /**
     * with `client`: the number of the next op (default 1)
     */
    firstN?: number;
    /**
     * keeps client id and unanswered ops: over a
     * reload in `sessionStorage`, over closed tabs and crashes with `indexedDbStorage()`
     */
    storage?: StorageLike | import("./indexeddb.js").IndexedDbStorage | null;
    /**
     * for tests
     */
    clock?: Clock;
};
/**
 * "I have everything up to and including `seq` of the log named `epoch`."
 * @typedef {{epoch: string, seq: number}} Position
 */
/**
 * An accepted operation, in the order of `seq`. `from` is the sender's user. `deleted`: the body, which is null, was deleted. `tag` was
 * chosen by the sender's client; `own` says that this client is the sender.
 * @typedef {{seq: number, at: number, from: string, type: string, body: any, deleted?: true, tag?: string, own?: true}} Event
 */
/**
 * One user who is here, however many sessions they have; `meta` is the one set last by a session that is here.
 * @typedef {{user: string, meta: any, sessions: number}} Member
 */
/** @typedef {{count: number, members?: Member[]}} PresenceList `members` is absent in a crowd: more than the kind lists, 1000 at most. */
/** @typedef {{seq: number, epoch: string, at: number, result?: any, duplicate?: true}} SendResult */
/** @typedef {{epoch: string, seq: number, state: any}} ReadResult */
/** @typedef {{epoch: string, events: Event[], more: boolean}} HistoryResult */
/** @typedef {{per_second: number, burst: number}} Rate */
/** @typedef {{requests?: Rate, bytes?: Rate, user_requests?: Rate}} Rates those that apply to this connection */
/**
 * @typedef {object} Limits
 * @property {number} max_message_bytes
 * @property {number} max_body_bytes
 * @property {number} max_subscriptions
 * @property {number} max_in_flight
 * @property {number} ping_interval_ms
 * @property {Rates} [rates] absent where the server is older
 */
/**
 * What `subscribe` answers: exactly one of `events` and `snapshot`.
 * @typedef {object} SubscribeResult
 * @property {string} entity
 * @property {string} epoch
 * @property {number} seq
 * @property {Event[]} [events]
 * @property {any} [snapshot]
 * @property {string} [reason]
 * @property {PresenceList} [presence]
 */
/** @typedef {{entity: string, result?: SubscribeResult, error?: RpcErrorBody}} SubscriptionAnswer */
/** @typedef {{entity: string, result?: {count: number}, error?: RpcErrorBody}} PresenceAnswer */
/**
 * @typedef {object} ConnectResult
 * @property {string} session
 * @property {string} client
 * @property {string} user
 * @property {number} [expires_at]
 * @property {number} now the server's clock, in ms since the epoch
 * @property {string} server
 * @property {Limits} limits
 * @property {true} [resumed] the connection took the place of the lost one, its presence included
 * @property {SubscriptionAnswer[]} [subscriptions]
 * @property {PresenceAnswer[]} [presence]
 */
/**
 * @typedef {object} RpcErrorBody
 * @property {number} code
 * @property {string} message
 * @property {{code?: string, retry_after_ms?: number, seq?: number, reason?: string}} [data]
 */
/** @typedef {{kind: "snapshot", entity: string, epoch: string, seq: number, snapshot: any, reason?: string}} SnapshotItem */
/** @typedef {{kind: "reset", entity: string, epoch: string, seq: number, snapshot: any, reason?: string}} ResetItem */
/** @typedef {{kind: "event", entity: string} & Event} EventItem */
/** @typedef {{kind: "signal", entity: string, from: string, type: string, body: any, key?: string}} SignalItem */
/**
 * `members` is the whole list after the change, or null when it is too long to be sent.
 * @typedef {object} PresenceItem
 * @property {"presence"} kind
 * @property {string} entity
 * @property {number} count
 * @property {Member[] | null} members
 * @property {Member[]} joined
 * @property {Member[]} updated
 * @property {string[]} left
 */
/** @typedef {SnapshotItem | ResetItem | EventItem | SignalItem | PresenceItem} Item */
/**
 * @typedef {object} SubscribeOptions
 * @property {Position} [after] what the app already has; without it the subscription starts with a snapshot
 * @property {"replay" | "disconnect" | "none"} [events]
 * @property {"drop_oldest" | "latest" | "none"} [signals]
 * @property {boolean} [presence] receive presence items (default false)
 * @property {number} [buffer] items held for the async iterator (default 1000)
 */
/** @typedef {"connecting" | "connected" | "waiting" | "closed"} State */
/**
 * A change of state. `nextAttemptAt` is set while waiting; `error` tells why the connection was lost or closed.
 * @typedef {object} StateChange
 * @property {State} state
 * @property {State} previous
 * @property {number | null} nextAttemptAt
 * @property {import("./errors.js").GreenroomError | null} error
 */
/** @typedef {{direction: "in" | "out", data: string, at: number}} RawMessage */
/**
 * An op that has not been answered. `n` is null until it is kept or first sent.
 * @typedef {object} PendingOp
 * @property {number | null} n
 * @property {string} entity
 * @property {string} type
 * @property {any} body
 * @property {"queued" | "sent"} state `sent`: it may have happened already, though its answer is not here; an earlier page may have sent it
 * @property {number} attempts how often this page sent it
 * @property {boolean} inFlight sent on the present connection and not answered yet
 * @property {boolean} kept it is in IndexedDB, and outlives this page
 * @property {boolean} restored an earlier page, or one that is gone, left it
 */
/**
 * Time and chance, so that tests can own both.
 * @typedef {object} Clock
 * @property {() => number} now the date, which a user or the network may set
 * @property {() => number} monotonic milliseconds since some moment, which nobody sets: for durations
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(handle: any) => void} clearTimeout
 * @property {() => number} random in [0, 1)
 */
/** @typedef {{getItem(key: string): string | null, setItem(key: string, value: string): void, removeItem(key: string): void}} StorageLike */
/** @typedef {string | null | undefined} TokenValue */
/**
 * The part of a WebSocket that the SDK uses; a browser's and that of the npm package `ws` both fit.
 * @typedef {object} WebSocketLike
 * @property {number} readyState
 * @property {number} bufferedAmount
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 */
/** @typedef {new (url: string, protocols: string[]) => any} WebSocketClass */
/**
 * @typedef {object} ConnectOptions
 * @property {string} [url] `ws://`, `wss://`, `http://` or `https://`; in a page the default is `/ws` on the page's host
 * @property {TokenValue | (() => TokenValue | Promise<TokenValue>)} [token] a JWT, or a function asked for one at each connect
 *   and when the server says that the present one is about to expire
 * @property {WebSocketClass} [WebSocket] for Node before 22, e.g. that of the package `ws`
 * @property {{baseMs?: number, capMs?: number}} [backoff] full-jitter exponential backoff (500 ms, 30 s)
 * @property {number} [maxPending] unanswered ops and waiting calls at most, each (default 1000)
 * @property {number} [pipeline] ops of one entity in flight at once (default 1, which keeps their order come what may)
 * @property {number} [maxRetries] how often a refused op is tried again (default 10)
 * @property {number} [connectTimeoutMs] from opening the socket to the answer to `connect` (default 10 s)
 * @property {number} [answerTimeoutMs] how long an answer may take (default 30 s)
 * @property {string} [client] the client id to present; it must not be in use elsewhere
 * @property {number} [firstN] with `client`: the number of the next op (default 1)
 * @property {StorageLike | import("./indexeddb.js").IndexedDbStorage | null} [storage] keeps client id and unanswered ops: over a
 *   reload in `sessionStorage`, over closed tabs and crashes with `indexedDbStorage()`
 * @property {Clock} [clock] for tests
 */
export {};
