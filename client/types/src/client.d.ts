import { Emitter } from "./emitter.js";
import { Entity } from "./entity.js";
import { GreenroomError } from "./errors.js";
/** The SDK's name and version, as the server's log shows them. */
export declare const VERSION = "greenroom-js/0.1.0";
export type ClientEvents = {
    state: import("./types.js").StateChange;
    /**
     * a round trip was measured, in milliseconds
     */
    rtt: number;
    /**
     * the number of unanswered ops changed, or one of them is kept now
     */
    pending: number;
    /**
     * a raw message passed; tokens are blotted out
     */
    message: import("./types.js").RawMessage;
    /**
     * something failed that no call of the app waits for
     */
    error: GreenroomError;
};
/**
 * @typedef {object} ClientEvents
 * @property {import("./types.js").StateChange} state
 * @property {number} rtt a round trip was measured, in milliseconds
 * @property {number} pending the number of unanswered ops changed, or one of them is kept now
 * @property {import("./types.js").RawMessage} message a raw message passed; tokens are blotted out
 * @property {GreenroomError} error something failed that no call of the app waits for
 */
/**
 * One connection to a server, kept alive until `close`. Made by `connect`.
 * @extends {Emitter<ClientEvents>}
 */
export declare class Client extends Emitter<ClientEvents> {
    #private;
    /** @type {import("./types.js").ConnectResult | null} the latest answer to `connect` */
    hello: import("./types.js").ConnectResult | null;
    /** @type {number | null} the latest round trip in milliseconds */
    rtt: number | null;
    /** @param {import("./types.js").ConnectOptions} options */
    constructor(options: import("./types.js").ConnectOptions);
    /** `connecting`, `connected`, `waiting` (for the next attempt) or `closed` (for good). */
    get state(): import("./types.js").State;
    /** When the next attempt is due, while waiting. */
    get nextAttemptAt(): number | null;
    /** Why the last connection was lost, or the client closed; null while connected. */
    get error(): GreenroomError | null;
    /** Who the server says we are: the token's `sub`, or `anon-…`; null before the first connection. */
    get user(): string | null;
    /** The ops that have no answer yet, in the order in which each entity gets them. */
    get pending(): import("./types.js").PendingOp[];
    /** @param {string} id `kind:id`, e.g. `room:lobby` */
    entity(id: string): Entity;
    /**
     * Resolves once connected; rejects when the client is closed, by the app or because the server will not have it.
     * @returns {Promise<void>}
     */
    connected(): Promise<void>;
    /** Measures the round trip now, besides the regular times; the answer comes as the event `rtt`. */
    ping(): void;
    /** Does not wait for the next attempt's time. While connected, the server is asked for a sign of life, soon to be given up without. */
    reconnect(): void;
    /**
     * Asks the token function for a token now, and shows it to the server: after signing in again, or when rights have changed.
     * Without a connection the next one does that. Rejects when `token` is no function, when it throws, and when the server refuses.
     * @returns {Promise<void>}
     */
    refresh(): Promise<void>;
    /**
     * Ends the connection for good. What still waits for an answer is rejected with `closed`; an op among it may have happened, and
     * one that is kept in IndexedDB will, when another page finds it there.
     * @param {{discard?: boolean}} [options] `discard` takes client id and ops out of IndexedDB, as when somebody signs out
     * @returns {Promise<void>} resolves when the storage is left in order
     */
    close({ discard }?: {
        discard?: boolean;
    }): Promise<void>;
}
