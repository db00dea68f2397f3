export type Subscription = import("./subscription.js").Subscription;
export type Member = import("./types.js").Member;
export type Position = import("./types.js").Position;
export type Options = import("./types.js").SubscribeOptions;
export type FeedHooks = {
    /**
     * an event is missing: ask again from the position
     */
    gap: () => void;
    /**
     * whether this client sent the event with this tag, which is about to be delivered
     */
    own: (tag: string) => boolean;
};
/**
 * @typedef {object} FeedHooks
 * @property {() => void} gap an event is missing: ask again from the position
 * @property {(tag: string) => boolean} own whether this client sent the event with this tag, which is about to be delivered
 */
/**
 * What the server sends of one entity, and the subscriptions that share it. A subscription that comes later first gets the
 * state by itself (`join`), and what it has not asked for it does not get.
 */
export declare class Feed {
    #private;
    entity: string;
    /** @type {Set<Subscription>} */
    members: Set<Subscription>;
    /** Goes up when the last subscription is closed; an answer to what was asked before that is no answer to what comes after it. */
    generation: number;
    /**
     * @param {string} entity
     * @param {FeedHooks} hooks
     */
    constructor(entity: string, hooks: FeedHooks);
    /** @param {Subscription} subscription */
    add(subscription: Subscription): void;
    /** @param {Subscription} subscription */
    remove(subscription: Subscription): void;
    /** What the server is to be asked for. */
    options(): {
        events: "disconnect" | "none" | "replay" | undefined;
        signals: "drop_oldest" | "latest" | "none" | undefined;
        presence: boolean | undefined;
    };
    /** The params of `subscribe`, from where it stands. */
    params(): {
        events: "disconnect" | "none" | "replay" | undefined;
        signals: "drop_oldest" | "latest" | "none" | undefined;
        presence: boolean | undefined;
        entity: string;
        after: import("./types.js").Position | undefined;
    };
    /** Brings those who came later up to date, once there is something to bring them to. */
    joinAll(): void;
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
    /** The connection is gone, or an event is missing. */
    suspend(): void;
    /** @returns {import("./types.js").PresenceItem} */
    presenceItem(): import("./types.js").PresenceItem;
}
