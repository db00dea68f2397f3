import { GreenroomError } from "./errors.js";
export type Done = (error: GreenroomError | null, result?: any) => void;
export type Waiting = {
    done: Done;
    counted: boolean;
};
/**
 * Called once, with the error or the result.
 * @typedef {(error: GreenroomError | null, result?: any) => void} Done
 */
/** @typedef {{done: Done, counted: boolean}} Waiting `counted`: it takes one of the slots */
/**
 * JSON-RPC 2.0 over one connection; it ends with that connection and takes its unanswered requests along.
 * At most `capacity` requests are in flight. Requests beyond that wait in a list of at most `maxQueue`.
 */
export declare class Rpc {
    #private;
    /** Requests in flight at most; the server's limit, once `connect` has told it. */
    capacity: number;
    /** The longest message the server takes; a longer one would cost the connection. */
    maxMessageBytes: number;
    /**
     * @param {object} hooks
     * @param {(text: string) => boolean} hooks.send
     * @param {(method: string, params: any) => void} hooks.notification
     * @param {(error: GreenroomError) => void} hooks.stray an error that answers nothing we asked
     * @param {() => void} hooks.free a slot became free
     * @param {number} maxQueue
     */
    constructor(hooks: {
        send: (text: string) => boolean;
        notification: (method: string, params: any) => void;
        stray: (error: GreenroomError) => void;
        free: () => void;
    }, maxQueue: number);
    /** How many more requests could be sent right now. */
    get free(): number;
    /**
     * Asks, now or when a slot is free. `done` runs while the answer is being read, before any message after it: what an
     * answer changes (a subscription's position) must be in place when the next event arrives, and a promise would be late,
     * since several messages can be read in one turn.
     * @param {string} method
     * @param {object | undefined} params
     * @param {Done} done
     * @param {{urgent?: boolean}} [options] `urgent` needs no slot: for `connect` and `ping`
     */
    ask(method: string, params: object | undefined, done: Done, { urgent }?: {
        urgent?: boolean;
    }): void;
    /**
     * `ask` as a promise, for answers whose place among the events does not matter.
     * @param {string} method
     * @param {object} [params]
     * @param {{urgent?: boolean}} [options]
     * @returns {Promise<any>}
     */
    request(method: string, params?: object, options?: {
        urgent?: boolean;
    }): Promise<any>;
    /**
     * Sends a request that is not answered.
     * @param {string} method
     * @param {object} params
     * @returns {boolean} whether it was sent
     */
    notify(method: string, params: object): boolean;
    /** @param {string} text */
    receive(text: string): void;
    /** The connection is gone: what was not answered never will be. */
    end(): void;
}
