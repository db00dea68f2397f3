export type Rate = import("./types.js").Rate;
export type Bucket = {
    rate: Rate;
    tokens: number;
};
/** @typedef {import("./types.js").Rate} Rate */
/** @typedef {{rate: Rate, tokens: number}} Bucket */
/**
 * When the next request may be sent: not while the server wants us to wait, and not faster than its rates. The rates that a
 * server reports are those of one connection and of one user, who may have several connections; so a refusal slows this one
 * down for a while.
 */
export declare class Pace {
    #private;
    /** @param {import("./types.js").Clock} clock */
    constructor(clock: import("./types.js").Clock);
    /** @param {import("./types.js").Rates | undefined} rates as `connect` reports them */
    set(rates: import("./types.js").Rates | undefined): void;
    /**
     * The server refused something for a limit of the connection.
     * @param {number | undefined} retryAfterMs
     */
    refused(retryAfterMs: number | undefined): void;
    /**
     * How long to wait before the next request, in ms.
     * @param {number} [reserve] the share of the burst that is left to others
     */
    wait(reserve?: number): number;
    /** One request is sent. @param {number} bytes */
    take(bytes: number): void;
    /** Whether `take` needs to know of bytes. */
    get countsBytes(): boolean;
}
