import { Backoff } from "./backoff.js";
import { GreenroomError } from "./errors.js";
import { Subscription } from "./subscription.js";
export type Entry = {
    subscription: Subscription;
    backoff: Backoff;
    timer: any;
    asking: number;
    gaps: number;
};
/**
 * The app's subscriptions, one per entity, and their way over reconnects: they are resumed in the order in which they were
 * made, inside the `connect` request as far as they fit in one message, and one by one after it where they do not.
 */
export declare class Subscriptions {
    #private;
    /** @param {import("./types.js").Clock} clock */
    constructor(clock: import("./types.js").Clock);
    /**
     * @param {string} entity
     * @param {import("./types.js").SubscribeOptions} options
     * @param {Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">} reads
     */
    add(entity: string, options: import("./types.js").SubscribeOptions, reads: Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">): Subscription;
    /**
     * What `connect` shall resume.
     * @param {number} maxMessageBytes
     * @param {number} used bytes that the request has without them
     */
    connectParams(maxMessageBytes: number, used: number): {
        entity: string;
        after: import("./types.js").Position | undefined;
        events: "disconnect" | "none" | "replay" | undefined;
        signals: "drop_oldest" | "latest" | "none" | undefined;
        presence: boolean | undefined;
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
