/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Position} Position */
export type Item = import("./types.js").Item;
export type Position = import("./types.js").Position;
export type Source = {
    /**
     * up to where the subscription has come
     */
    position: () => Position | null;
    /**
     * whether the subscription carries events at all
     */
    replays: () => boolean;
    history: (after: number, limit: number) => Promise<import("./types.js").HistoryResult>;
    read: () => Promise<import("./types.js").ReadResult>;
    presence: () => import("./types.js").PresenceItem | null;
};
/**
 * The queue between a subscription and its async iterator, at most `bound` items long. A consumer that falls further behind
 * costs a position, not memory: the queue is dropped, and when the consumer asks again the inbox reads on from the entity's
 * history, from the last event the consumer took. Signals of that time are lost, as signals may be; presence is told anew.
 * Where the history no longer reaches back, the consumer gets a `reset` item.
 */
export declare class Inbox {
    #private;
    /**
     * @param {string} entity
     * @param {number} bound
     * @param {Source} source
     * @param {Position} [after]
     */
    constructor(entity: string, bound: number, source: Source, after?: Position);
    /** @param {Item} item */
    push(item: Item): void;
    /** @param {unknown} [error] */
    end(error?: unknown): void;
    /** @returns {Promise<IteratorResult<Item, undefined>>} */
    next(): Promise<IteratorResult<Item, undefined>>;
}
