import { Backoff } from "./backoff.js";
import { GreenroomError } from "./errors.js";
export type Op = import("./op.js").Op;
export type Lane = {
    ops: Op[];
    backoff: Backoff;
    timer: any;
};
export type Identity = {
    client: string;
    user: string;
};
/** @typedef {import("./op.js").Op} Op */
/** @typedef {{ops: Op[], backoff: Backoff, timer: any}} Lane the unanswered ops of one entity, in order; a timer means "not before it fires" */
/** @typedef {{client: string, user: string}} Identity the server remembers outcomes by these two together */
/**
 * Keeps every op until it is answered, and repeats it under the same number after a reconnect.
 *
 * With a storage (`keepIn`) an op is sent only once it is on disk there, under its number: a page that dies afterwards leaves
 * the next one all it needs to repeat the op as the same op, and one that dies before has sent nothing. In the other order a
 * number could be used for two ops, and the second would be taken for a repeat of the first.
 *
 * Bounded by `maxPending`: `add` fails when that many ops are unanswered. Per entity at most `pipeline` are in flight, so
 * with the default of 1 an op never overtakes an earlier one that the server put off.
 */
export declare class Ops {
    #private;
    /**
     * @param {{maxPending: number, pipeline: number, maxRetries: number}} options
     * @param {import("./types.js").Clock} clock
     * @param {() => void} changed the number of unanswered ops changed, or one of them is kept now
     */
    constructor(options: {
        maxPending: number;
        pipeline: number;
        maxRetries: number;
    }, clock: import("./types.js").Clock, changed: () => void);
    /** @param {number | undefined} now the server's clock */
    setClock(now: number | undefined): void;
    /** Those whose events have not been delivered. @returns {import("./types.js").PendingOp[]} */
    get pending(): import("./types.js").PendingOp[];
    get count(): number;
    /** When the op that has waited longest for its answer was sent, by the monotonic clock. */
    get oldestSentAt(): number;
    /**
     * @param {string} entity
     * @param {string} type
     * @param {any} body
     * @param {number} [ifSeq]
     * @returns {Promise<import("./types.js").SendResult>}
     */
    add(entity: string, type: string, body: any, ifSeq?: number): Promise<import("./types.js").SendResult>;
    /**
     * There is a connection: repeat what was in doubt and send the rest.
     * @param {import("./rpc.js").Rpc} rpc
     * @param {Identity} identity
     */
    attach(rpc: import("./rpc.js").Rpc, identity: Identity): void;
    /** The connection is gone, or is going: nothing new is sent. */
    detach(): void;
    /** Room for another request. */
    free(): void;
    /**
     * An event is about to be delivered: if it is one of these ops, that op is pending no longer, though its answer is yet to come.
     * @param {string} tag
     * @returns {boolean} whether this client sent it
     */
    saw(tag: string): boolean;
    /** Whether this client sent the event with this tag. @param {string} tag */
    owns(tag: string): boolean;
    /** @param {GreenroomError} error */
    close(error: GreenroomError): void;
    /**
     * From now on ops outlive the page. What an earlier page left comes before what this one has gathered meanwhile. To be called
     * before the first `attach`.
     * @param {import("./kept.js").KeptClient} keep
     * @param {(error: GreenroomError) => void} failed what became of ops that nobody waits for
     */
    keepIn(keep: import("./kept.js").KeptClient, failed: (error: GreenroomError) => void): void;
    /** What it takes to go on after a reload. @returns {import("./persist.js").Saved | null} */
    save(): import("./persist.js").Saved | null;
    /**
     * Takes up what an earlier page left. Nobody waits for these ops any more, so failures go to `failed`.
     * @param {import("./persist.js").Saved} saved
     * @param {(error: GreenroomError) => void} failed
     */
    restore(saved: import("./persist.js").Saved, failed: (error: GreenroomError) => void): void;
    /** @param {number} n the number of the next op */
    startAt(n: number): void;
}
