/**
 * When the token of a live connection is asked for again: once the server says that it is about to expire. A token function may
 * return the same token for a while, from a cache; then it is asked again a few times until the end. A token that lives so
 * shortly that the server warns of it at once is kept for a third of its life.
 */
export declare class Renewal {
    #private;
    /**
     * @param {import("./types.js").Clock} clock
     * @param {() => Promise<boolean>} renew shows a new token; false when there was none
     */
    constructor(clock: import("./types.js").Clock, renew: () => Promise<boolean>);
    /** A token was accepted. @param {import("./types.js").ConnectResult} result */
    accepted({ expires_at: expiresAt, now }: import("./types.js").ConnectResult): void;
    /** The server warns. @param {number} closesInMs */
    expiring(closesInMs: number): void;
    stop(): void;
}
