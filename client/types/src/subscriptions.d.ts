import { Backoff } from "./backoff.js";
import { GreenroomError } from "./errors.js";
import { Feed } from "./feed.js";
import { Subscription } from "./subscription.js";
export type Entry = {
    feed: Feed;
    backoff: Backoff;
    /**
     * until it is looked at again; null when none is set
     */
    timer: any;
    /**
     * a request about it is under way
     */
    busy: boolean;
    /**
     * the server may have the subscription, since it was asked for it on this connection
     */
    told: boolean;
    /**
     * the server has it
     */
    has: boolean;
    /**
     * what the server has is all that is wanted, and nothing is missing
     */
    fresh: boolean;
    /**
     * in a row
     */
    gaps: number;
};
export type Asked = {
    entry: Entry;
    generation: number;
    covers: string;
};
/**
 * @typedef {object} Entry
 * @property {Feed} feed
 * @property {Backoff} backoff
 * @property {any} timer until it is looked at again; null when none is set
 * @property {boolean} busy a request about it is under way
 * @property {boolean} told the server may have the subscription, since it was asked for it on this connection
 * @property {boolean} has the server has it
 * @property {boolean} fresh what the server has is all that is wanted, and nothing is missing
 * @property {number} gaps in a row
 */
/** @typedef {{entry: Entry, generation: number, covers: string}} Asked */
/**
 * The app's subscriptions: one feed per entity, which those that want the same entity share, and its way over reconnects. Feeds
 * are resumed in the order in which they were made, inside the `connect` request as far as they fit in, and one by one after it
 * where they do not.
 *
 * Of one entity a single request is under way at a time, and after each answer it is compared what the server has with what the
 * app wants by then. So a subscription that is closed before it was asked for is not asked for, and one that is closed later is
 * ended after it has begun.
 */
export declare class Subscriptions {
    #private;
    /**
     * @param {import("./types.js").Clock} clock
     * @param {(tag: string) => boolean} own whether this client sent an event that is about to be delivered
     */
    constructor(clock: import("./types.js").Clock, own: (tag: string) => boolean);
    /**
     * @param {string} entity
     * @param {import("./types.js").SubscribeOptions} options
     * @param {Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">} reads
     */
    add(entity: string, options: import("./types.js").SubscribeOptions, reads: Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">): Subscription;
    /**
     * What `connect` shall resume.
     * @param {number} room bytes
     */
    connectParams(room: number): {
        events: "disconnect" | "none" | "replay" | undefined;
        signals: "drop_oldest" | "latest" | "none" | undefined;
        presence: boolean | undefined;
        entity: string;
        after: import("./types.js").Position | undefined;
    }[];
    /**
     * @param {import("./rpc.js").Rpc} rpc
     * @param {import("./types.js").SubscriptionAnswer[]} answers
     */
    attach(rpc: import("./rpc.js").Rpc, answers: import("./types.js").SubscriptionAnswer[]): void;
    detach(): void;
    /** @param {GreenroomError | null} error null when the app wanted it */
    close(error: GreenroomError | null): void;
    /**
     * @param {string} method
     * @param {any} params
     */
    notification(method: string, params: any): void;
}
