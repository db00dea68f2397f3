import { GreenroomError } from "./errors.js";
export type Call = {
    method: string;
    params: object;
    /**
     * waits as long as it takes and comes again after "later"
     */
    patient: boolean;
    /**
     * comes again after "later" until its time is over
     */
    again: boolean;
    /**
     * until its time is over
     */
    timer: any;
    /**
     * until it comes again
     */
    retry: any;
    /**
     * the last "later"
     */
    refusal: GreenroomError | null;
    resolve: (result: any) => void;
    reject: (error: GreenroomError) => void;
};
/**
 * @typedef {object} Call
 * @property {string} method
 * @property {object} params
 * @property {boolean} patient waits as long as it takes and comes again after "later"
 * @property {boolean} again comes again after "later" until its time is over
 * @property {any} timer until its time is over
 * @property {any} retry until it comes again
 * @property {GreenroomError | null} refusal the last "later"
 * @property {(result: any) => void} resolve
 * @property {(error: GreenroomError) => void} reject
 */
/**
 * Requests that change nothing or may be made twice: reads, history, presence. They wait for a connection and are made
 * again on the next one when theirs is lost, until `timeoutMs` is over. At most `max` are open; more fail with `queue_full`.
 */
export declare class Calls {
    #private;
    /**
     * @param {import("./types.js").Clock} clock
     * @param {number} max
     * @param {number} timeoutMs
     */
    constructor(clock: import("./types.js").Clock, max: number, timeoutMs: number);
    /**
     * @param {string} method
     * @param {object} params
     * @param {{patient?: boolean, again?: boolean}} [options]
     * @returns {Promise<any>}
     */
    make(method: string, params: object, { patient, again }?: {
        patient?: boolean;
        again?: boolean;
    }): Promise<any>;
    /** @param {import("./rpc.js").Rpc} rpc */
    attach(rpc: import("./rpc.js").Rpc): void;
    detach(): void;
    /** @param {GreenroomError} error */
    close(error: GreenroomError): void;
}
