/**
 * One addressable thing, `kind:id`. A light handle: make as many as you like.
 */
export declare class Entity {
    #private;
    id: string;
    /**
     * @param {string} id
     * @param {{ops: import("./ops.js").Ops, calls: import("./calls.js").Calls, presences: import("./presence.js").Presences,
     *   subscriptions: import("./subscriptions.js").Subscriptions, pending: () => import("./types.js").PendingOp[],
     *   signals: import("./signals.js").Signals, isOwn: (tag: string) => boolean}} parts
     */
    constructor(id: string, parts: {
        ops: import("./ops.js").Ops;
        calls: import("./calls.js").Calls;
        presences: import("./presence.js").Presences;
        subscriptions: import("./subscriptions.js").Subscriptions;
        pending: () => import("./types.js").PendingOp[];
        signals: import("./signals.js").Signals;
        isOwn: (tag: string) => boolean;
    });
    /**
     * Starts to receive. Several subscriptions to one entity share what the server sends; each gets the state first, then all events.
     * @param {import("./types.js").SubscribeOptions} [options]
     */
    subscribe(options?: import("./types.js").SubscribeOptions): import("./subscription.js").Subscription;
    /**
     * A durable op. Resolves when the server has it on disk; rejects when it was refused, or when its outcome cannot be known
     * (`unavailable` after all retries, `outcome_unknown`, `closed`). Without a connection it waits for one.
     * @param {string} type
     * @param {any} body
     * @param {{ifSeq?: number}} [options] `ifSeq`: only if the entity is at this seq, else `conflict`
     */
    send(type: string, body: any, { ifSeq }?: {
        ifSeq?: number;
    }): Promise<import("./types.js").SendResult>;
    /** The ops of this entity that have no answer yet, in the order in which it gets them. */
    get pending(): import("./types.js").PendingOp[];
    /**
     * A volatile message to the other subscribers. It is not kept: without a connection it is dropped.
     * @param {string} type
     * @param {any} body
     * @param {{key?: string}} [options] `key`: a newer one with the same type and key replaces an undelivered older one
     * @returns {boolean} false when it was dropped. Where signals come faster than the server's rates allow, the latest of each key
     *   waits for its turn, and those without a key are dropped
     */
    signal(type: string, body: any, { key }?: {
        key?: string;
    }): boolean;
    /**
     * The committed state.
     * @returns {Promise<import("./types.js").ReadResult>}
     */
    read(): Promise<import("./types.js").ReadResult>;
    /**
     * Events of the log, ascending: the last `limit` before `before` (or of all), or the first `limit` after `after`.
     * @param {{before?: number, after?: number, limit?: number}} [range]
     * @returns {Promise<import("./types.js").HistoryResult>}
     */
    history({ before, after, limit }?: {
        before?: number;
        after?: number;
        limit?: number;
    }): Promise<import("./types.js").HistoryResult>;
    /** Who is here. `enter` is repeated after a reconnect until `leave`. */
    get presence(): {
        list: () => Promise<import("./types.js").PresenceList>;
        /** @param {object} [meta] a JSON object of at most 1 KiB; entering again updates it */
        enter: (meta?: object) => Promise<{
            count: number;
        }>;
        leave: () => Promise<{
            count: number;
        }>;
    };
}
