import { Emitter } from "./emitter.js";
import { GreenroomError } from "./errors.js";
export type Item = import("./types.js").Item;
export type Member = import("./types.js").Member;
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
     * an event is missing: ask again from the position
     */
    gap: () => void;
    /**
     * the app wants no more
     */
    close: () => void;
    history: (after: number, limit: number) => Promise<import("./types.js").HistoryResult>;
    read: () => Promise<import("./types.js").ReadResult>;
};
/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Member} Member */
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
 * @property {() => void} gap an event is missing: ask again from the position
 * @property {() => void} close the app wants no more
 * @property {(after: number, limit: number) => Promise<import("./types.js").HistoryResult>} history
 * @property {() => Promise<import("./types.js").ReadResult>} read
 */
/**
 * What one app sees of one entity: each event once, in order, over as many connections as it takes. Read it as an async
 * iterable of items, or listen with `on`; both see all items. Listeners see them as they arrive; see `Inbox` for the bound
 * of the iterator and what happens there.
 *
 * @extends {Emitter<SubscriptionEvents>}
 */
export declare class Subscription extends Emitter<SubscriptionEvents> {
    #private;
    entity: string;
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
    /** Who is here, when `presence` was asked for: null when it is not known, or a crowd. @returns {Member[] | null} */
    get members(): Member[] | null;
    /** Ends it here and at the server. */
    close(): void;
    /** @returns {AsyncIterableIterator<Item>} leaving the loop closes the subscription */
    [Symbol.asyncIterator](): AsyncIterableIterator<Item>;
    /** The params of `subscribe`, from where it stands. */
    params(): {
        entity: string;
        after: import("./types.js").Position | undefined;
        events: "disconnect" | "none" | "replay" | undefined;
        signals: "drop_oldest" | "latest" | "none" | undefined;
        presence: boolean | undefined;
    };
    /** @param {import("./types.js").SubscribeResult} result */
    answered({ epoch, seq, events, snapshot, reason, presence }: import("./types.js").SubscribeResult): void;
    /** @param {import("./types.js").Event} event */
    event(event: import("./types.js").Event): void;
    /** @param {{from: string, type: string, body: any, key?: string}} signal */
    signal(signal: {
        from: string;
        type: string;
        body: any;
        key?: string;
    }): void;
    /** @param {{joined?: Member[], updated?: Member[], left?: string[], members?: Member[], count: number}} change */
    presence({ joined, updated, left, members, count }: {
        joined?: Member[];
        updated?: Member[];
        left?: string[];
        members?: Member[];
        count: number;
    }): void;
    /** @param {{epoch: string, seq: number, snapshot: any, reason: string}} reset */
    reset(reset: {
        epoch: string;
        seq: number;
        snapshot: any;
        reason: string;
    }): void;
    /** The connection is gone. */
    suspend(): void;
    /** @param {GreenroomError | null} error */
    end(error: GreenroomError | null): void;
}
