/**
 * The server's clock, as this client knows it: what it said at `connect`, and the time that has passed since, by a clock that
 * nobody sets. Ops say by it when they were first sent, so it must never be ahead of the truth.
 */
export declare class ServerTime {
    #private;
    /** @param {import("./types.js").Clock} clock */
    constructor(clock: import("./types.js").Clock);
    /** @param {number | undefined} now what the server has just said */
    set(now: number | undefined): void;
    /** Null before the first connection. @returns {number | null} */
    get now(): number | null;
}
