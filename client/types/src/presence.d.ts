import { GreenroomError } from "./errors.js";
export type Call = (method: string, params: object, options?: {
    patient?: boolean;
    again?: boolean;
}) => Promise<any>;
export type Entry = {
    meta: object | undefined;
};
export type Answer = import("./types.js").PresenceAnswer;
/** @typedef {(method: string, params: object, options?: {patient?: boolean, again?: boolean}) => Promise<any>} Call */
/** @typedef {{meta: object | undefined}} Entry */
/** @typedef {import("./types.js").PresenceAnswer} Answer */
/**
 * Where the app wants to be present, and where the server shows this session. What the app wants last counts: answers may come
 * in another order than the calls were made, since what is refused for a limit is sent again; so whenever the last call about
 * an entity is answered, the two are compared.
 *
 * `connect` carries it. A connection that takes the place of the lost one (`resumed`) has the presence of the lost one as well,
 * so that only what changed meanwhile is told; to any other the server knows nothing, and all is told.
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
    /**
     * What `connect` shall enter.
     * @param {number} room bytes
     * @param {boolean} resumes the server probably has what the last connection entered
     */
    connectParams(room: number, resumes: boolean): {
        entity: string;
        meta: object | undefined;
    }[];
    /**
     * There is a new connection, and calls that are still open have been made on it already.
     * @param {boolean} resumed
     * @param {Answer[] | undefined} answers to what `connect` carried; none from an older server
     */
    attach(resumed: boolean, answers: Answer[] | undefined): void;
    /** The server has ended our presence there. @param {string} entity @param {string} reason */
    left(entity: string, reason: string): void;
}
