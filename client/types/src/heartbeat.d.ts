/**
 * Measures the round trip and notices a connection that died without saying so. A ping that is not answered within an
 * interval is repeated if anything else was heard meanwhile: the server may be busy, or only one direction may be cut. The
 * connection counts as dead after the second, or after the first if nothing at all was heard. Going by the ping, not by the
 * clock alone, keeps a background tab whose timers are throttled from false alarms.
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
    /**
     * Asks for a sign of life soon, for when the network or the machine may have slept. Calling it again does not put off the
     * verdict on a ping that is under way.
     */
    probe(): void;
    /** Measures now, unless a measurement is under way. */
    ping(): void;
    stop(): void;
}
