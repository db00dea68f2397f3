import { Emitter } from "./emitter.js";
import { GreenroomError } from "./errors.js";
export type Item = import("./types.js").Item;
export type Position = import("./types.js").Position;
export type SubscriptionEvents = {
    snapshot: import("./types.js").SnapshotItem;
    reset: import("./types.js").ResetItem;
    event: import("./types.js").EventItem;
    signal: import("./types.js").SignalItem;
    presence: import("./types.js").PresenceItem;
    /**
     * any of the above
     */
    item: Item;
    /**
     * it ended; the error when that was not asked for
     */
    close: GreenroomError | null;
};
export type SubscriptionHooks = {
    /**
     * the app wants no more
     */
    close: () => void;
    /**
     * who is here now
     */
    presence: () => import("./types.js").PresenceItem;
    history: (after: number, limit: number) => Promise<import("./types.js").HistoryResult>;
    read: () => Promise<import("./types.js").ReadResult>;
};
/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Position} Position */
/**
 * @typedef {object} SubscriptionEvents
 * @property {import("./types.js").SnapshotItem} snapshot
 * @property {import("./types.js").ResetItem} reset
 * @property {import("./types.js").EventItem} event
 * @property {import("./types.js").SignalItem} signal
 * @property {import("./types.js").PresenceItem} presence
 * @property {Item} item any of the above
 * @property {GreenroomError | null} close it ended; the error when that was not asked for
 */
/**
 * @typedef {object} SubscriptionHooks
 * @property {() => void} close the app wants no more
 * @property {() => import("./types.js").PresenceItem} presence who is here now
 * @property {(after: number, limit: number) => Promise<import("./types.js").HistoryResult>} history
 * @property {() => Promise<import("./types.js").ReadResult>} read
 */
/**
 * What one part of an app sees of one entity: each event once, in order, over as many connections as it takes. Read it as an
 * async iterable of items, or listen with `on`; both see all items. Listeners see them as they arrive; see `Inbox` for the bound
 * of the iterator and what happens there.
 *
 * @extends {Emitter<SubscriptionEvents>}
 */
export declare class Subscription extends Emitter<SubscriptionEvents> {
    #private;
    entity: string;
    options: import("./types.js").SubscribeOptions;
    /** @type {"pending" | "live" | "closed"} `pending`: not answered yet, or being resumed */
    state: "pending" | "live" | "closed";
    /** @type {Position | null} everything up to here has been delivered */
    position: Position | null;
    /** @type {Promise<this>} resolves at the first answer; rejects when the server refuses, or when it is closed before */
    ready: Promise<this>;
    /**
     * @param {string} entity
     * @param {import("./types.js").SubscribeOptions} options
     * @param {SubscriptionHooks} hooks
     */
    constructor(entity: string, options: import("./types.js").SubscribeOptions, hooks: SubscriptionHooks);
    /** Who is here, when `presence` was asked for: null when it is not known, or a crowd. */
    get members(): import("./types.js").Member[] | null;
    /** Ends it here, and at the server when nobody else on this page reads the entity. */
    close(): void;
    /** @returns {AsyncIterableIterator<Item>} leaving the loop closes the subscription */
    [Symbol.asyncIterator](): AsyncIterableIterator<Item>;
    /** The items that bring it up to date have been delivered. */
    live(): void;
    /** The connection is gone, or something is missing. */
    suspend(): void;
    /** How to read on without the others. */
    get reads(): SubscriptionHooks;
    /** It cannot go on. @param {GreenroomError} error */
    fail(error: GreenroomError): void;
    /** @param {import("./types.js").EventItem} item */
    event(item: import("./types.js").EventItem): void;
    /** @param {{epoch: string, seq: number, snapshot?: any, reason?: string}} state that takes the place of what the app has */
    replace({ epoch, seq, snapshot, reason }: {
        epoch: string;
        seq: number;
        snapshot?: any;
        reason?: string;
    }): void;
    /** @param {Item} item */
    deliver(item: Item): void;
    /** @param {GreenroomError | null} error */
    end(error: GreenroomError | null): void;
}
