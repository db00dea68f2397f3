import { GreenroomError } from "./errors.js";
export type Call = (method: string, params: object) => Promise<any>;
/** @typedef {(method: string, params: object) => Promise<any>} Call */
/**
 * Where the app has entered, so that it enters again after a reconnect: to the server a new connection is a new session,
 * and a session is present nowhere until it says so.
 */
export declare class Presences {
    #private;
    /**
     * @param {Call} call
     * @param {(error: GreenroomError) => void} failed entering again was refused
     */
    constructor(call: Call, failed: (error: GreenroomError) => void);
    /**
     * @param {string} entity
     * @returns {Promise<import("./types.js").PresenceList>}
     */
    list(entity: string): Promise<import("./types.js").PresenceList>;
    /**
     * @param {string} entity
     * @param {object} [meta]
     * @returns {Promise<{count: number}>}
     */
    enter(entity: string, meta?: object): Promise<{
        count: number;
    }>;
    /**
     * @param {string} entity
     * @returns {Promise<{count: number}>}
     */
    leave(entity: string): Promise<{
        count: number;
    }>;
    /** There is a new connection. Those whose first `enter` still waits for an answer are asked by that call itself. */
    attach(): void;
}
