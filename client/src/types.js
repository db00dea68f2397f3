/**
 * The shapes that cross the wire, and those that an app sees, which are written down in `types/`. Types only: this module has no code.
 * Times are milliseconds since the Unix epoch, durations end in `Ms` (or `_ms` on the wire).
 */

/** @typedef {import("../types/greenroom.js").Position} Position */
/** @typedef {import("../types/greenroom.js").Event} Event */
/** @typedef {import("../types/greenroom.js").Member} Member */
/** @typedef {import("../types/greenroom.js").PresenceList} PresenceList */
/** @typedef {import("../types/greenroom.js").SendResult} SendResult */
/** @typedef {import("../types/greenroom.js").ReadResult} ReadResult */
/** @typedef {import("../types/greenroom.js").HistoryResult} HistoryResult */
/** @typedef {import("../types/greenroom.js").Rate} Rate */
/** @typedef {NonNullable<Limits["rates"]>} Rates those that apply to this connection */
/** @typedef {import("../types/greenroom.js").Limits} Limits */
/** @typedef {import("../types/greenroom.js").SnapshotItem} SnapshotItem */
/** @typedef {import("../types/greenroom.js").ResetItem} ResetItem */
/** @typedef {import("../types/greenroom.js").EventItem} EventItem */
/** @typedef {import("../types/greenroom.js").SignalItem} SignalItem */
/** @typedef {import("../types/greenroom.js").PresenceItem} PresenceItem */
/** @typedef {import("../types/greenroom.js").Item} Item */
/** @typedef {import("../types/greenroom.js").SubscribeOptions} SubscribeOptions */
/** @typedef {import("../types/greenroom.js").State} State */
/** @typedef {import("../types/greenroom.js").StateChange} StateChange */
/** @typedef {import("../types/greenroom.js").RawMessage} RawMessage */
/** @typedef {import("../types/greenroom.js").PendingOp} PendingOp */
/** @typedef {import("../types/greenroom.js").StorageLike} StorageLike */
/** @typedef {import("../types/greenroom.js").TokenValue} TokenValue */
/** @typedef {import("../types/greenroom.js").WebSocketClass} WebSocketClass */

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

/** @typedef {import("../types/greenroom.js").ConnectResult & {subscriptions?: SubscriptionAnswer[], presence?: PresenceAnswer[]}} ConnectResult */

/**
 * @typedef {object} RpcErrorBody
 * @property {number} code
 * @property {string} message
 * @property {{code?: string, retry_after_ms?: number, seq?: number, reason?: string}} [data]
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

/** @typedef {import("../types/greenroom.js").ConnectOptions & {clock?: Clock}} ConnectOptions `clock` is for tests */

export {};
