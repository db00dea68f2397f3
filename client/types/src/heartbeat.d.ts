/**
 * Measures the round trip and notices a connection that died without saying so. A connection counts as dead when a ping
 * went unanswered for a whole interval in which nothing else was heard either: twice the interval after the last sign of
 * life. Going by the ping, not by the clock alone, keeps a background tab whose timers are throttled from false alarms.
 */
export declare class Heartbeat {
    #private;
    /**
     * @param {import("./types.js").Clock} clock
     * @param {import("./rpc.js").Rpc} rpc
     * @param {number} intervalMs
     * @param {{rtt: (ms: number) => void, dead: () => void}} hooks
     */
    constructor(clock: import("./types.js").Clock, rpc: import("./rpc.js").Rpc, intervalMs: number, hooks: {
        rtt: (ms: number) => void;
        dead: () => void;
    });
    /** Something arrived. */
    heard(): void;
    /** Asks for a sign of life within `withinMs`, for when the network or the machine may have slept. */
    probe(withinMs?: number): void;
    /** Measures now, unless a measurement is under way. */
    ping(): void;
    stop(): void;
}
