/**
 * Full jitter: the wait before attempt k is anywhere between nothing and `base * 2^k`, at most `cap`. Clients that lost
 * the same server at the same moment so come back spread out, instead of as one wave after another.
 */
export declare class Backoff {
    #private;
    /**
     * @param {{baseMs?: number, capMs?: number}} options
     * @param {() => number} random
     */
    constructor({ baseMs, capMs }: {
        baseMs?: number;
        capMs?: number;
    }, random: () => number);
    /** The next wait in milliseconds; each call reaches further. */
    next(): number;
    /** Call it when things went well for a while. */
    reset(): void;
}
