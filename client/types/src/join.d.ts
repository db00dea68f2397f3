/**
 * Brings a subscription to where the others of its entity are: from its own position by the history, as far as that reaches, or
 * else by the state.
 * @param {import("./subscription.js").Subscription} subscription
 * @param {{position: () => import("./types.js").Position | null, wanted: () => boolean,
 *   deliver: (event: import("./types.js").Event) => void}} feed
 * @returns {Promise<boolean>} false when it is not wanted any more
 */
export declare function join(subscription: import("./subscription.js").Subscription, { position: live, wanted, deliver }: {
    position: () => import("./types.js").Position | null;
    wanted: () => boolean;
    deliver: (event: import("./types.js").Event) => void;
}): Promise<boolean>;
