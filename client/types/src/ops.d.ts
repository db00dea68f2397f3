import { Backoff } from "./backoff.js";
import { GreenroomError } from "./errors.js";
export type Op = {
    /**
     * given when it is first sent, so that an op that waited long is not an old one to the server
     */
    n: number | null;
    entity: string;
    type: string;
    body: any;
    ifSeq: number | undefined;
    attempts: number;
    /**
     * answers that said "later"
     */
    refusals: number;
    /**
     * when it went out on the present connection
     */
    sentAt: number | null;
    resolve: (result: import("./types.js").SendResult) => void;
    reject: (error: GreenroomError) => void;
};
export type Lane = {
    ops: Op[];
    backoff: Backoff;
    timer: any;
};
export type Identity = {
    client: string;
    user: string;
};
/**
 * @typedef {object} Op
 * @property {number | null} n given when it is first sent, so that an op that waited long is not an old one to the server
 * @property {string} entity
 * @property {string} type
 * @property {any} body
 * @property {number | undefined} ifSeq
 * @property {number} attempts
 * @property {number} refusals answers that said "later"
 * @property {number | null} sentAt when it went out on the present connection
 * @property {(result: import("./types.js").SendResult) => void} resolve
 * @property {(error: GreenroomError) => void} reject
 */
/** @typedef {{ops: Op[], backoff: Backoff, timer: any}} Lane the unanswered ops of one entity, in order; a timer means "not before it fires" */
/** @typedef {{client: string, user: string}} Identity the server remembers outcomes by these two together */
/**
 * Keeps every op until it is answered, and repeats it under the same number after a reconnect.
 *
 * Bounded by `maxPending`: `add` fails when that many ops are unanswered. Per entity at most `pipeline` are in flight, so
 * with the default of 1 an op never overtakes an earlier one that the server put off.
 */
export declare class Ops {
    #private;
    /**
     * @param {{maxPending: number, pipeline: number, maxRetries: number}} options
     * @param {import("./types.js").Clock} clock
     * @param {() => void} changed the number of unanswered ops changed
     */
    constructor(options: {
        maxPending: number;
        pipeline: number;
        maxRetries: number;
    }, clock: import("./types.js").Clock, changed: () => void);
    /** @returns {import("./types.js").PendingOp[]} */
    get pending(): import("./types.js").PendingOp[];
    get count(): number;
    /** When the op that has waited longest for its answer was sent. */
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
    /** @param {GreenroomError} error */
    close(error: GreenroomError): void;
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
