import { GreenroomError } from "./errors.js";
export type Done = (error: GreenroomError | null, result?: any) => void;
export type Params = object | undefined | (() => object | null);
export type How = {
    urgent?: boolean;
    once?: boolean;
};
export type Asked = {
    method: string;
    params: Params;
    done: Done;
    urgent: boolean;
    once: boolean;
};
/**
 * Called once, with the error or the result.
 * @typedef {(error: GreenroomError | null, result?: any) => void} Done
 */
/** @typedef {object | undefined | (() => object | null)} Params a function is asked when it is sent; null: not wanted any more */
/** @typedef {{urgent?: boolean, once?: boolean}} How */
/** @typedef {{method: string, params: Params, done: Done, urgent: boolean, once: boolean}} Asked */
/**
 * JSON-RPC 2.0 over one connection; it ends with that connection and takes its unanswered requests along.
 *
 * At most `capacity` requests are in flight, and no more are sent than the pace allows. The others wait in a list of at most
 * `maxQueue`. A request that is refused for a limit of the connection is sent again after the pause that the server asks for.
 */
export declare class Rpc {
    #private;
    /** Requests in flight at most; the server's limit, once `connect` has told it. */
    capacity: number;
    /** The longest message the server takes; a longer one would cost the connection. */
    maxMessageBytes: number;
    /** The longest body the server takes. */
    maxBodyBytes: number;
    /** Whether the server echoes tags. */
    tags: boolean;
    /**
     * @param {object} hooks
     * @param {(text: string) => boolean} hooks.send
     * @param {(method: string, params: any) => void} hooks.notification
     * @param {(error: GreenroomError) => void} hooks.stray an error that answers nothing we asked
     * @param {() => void} hooks.free another request may be sent
     * @param {import("./types.js").Clock} clock
     * @param {import("./pace.js").Pace} pace
     * @param {number} maxQueue
     */
    constructor(hooks: {
        send: (text: string) => boolean;
        notification: (method: string, params: any) => void;
        stray: (error: GreenroomError) => void;
        free: () => void;
    }, clock: import("./types.js").Clock, pace: import("./pace.js").Pace, maxQueue: number);
    /** How many more requests could be sent right now. */
    get free(): number;
    /**
     * Asks, now or when it may. `done` runs while the answer is being read, before any message after it: what an answer changes
     * (a subscription's position) must be in place when the next event arrives, and a promise would be late, since several
     * messages can be read in one turn.
     * @param {string} method
     * @param {Params} params
     * @param {Done} done
     * @param {How} [how] `urgent` needs no slot and no pace: for `connect` and `ping`; `once`: the caller repeats it when it is
     *   refused for a limit
     */
    ask(method: string, params: Params, done: Done, { urgent, once }?: How): void;
    /**
     * `ask` as a promise, for answers whose place among the events does not matter.
     * @param {string} method
     * @param {object} [params]
     * @param {How} [how]
     * @returns {Promise<any>}
     */
    request(method: string, params?: object, how?: How): Promise<any>;
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
