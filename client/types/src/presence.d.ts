/** @typedef {(method: string, params: object, options?: {patient?: boolean}) => Promise<any>} Call */
export type Call = (method: string, params: object, options?: {
    patient?: boolean;
}) => Promise<any>;
export type Entry = {
    meta: object | undefined;
    asking: boolean;
};
/** @typedef {{meta: object | undefined, asking: boolean}} Entry `asking`: a call of its own is open, which will tell the server */
/**
 * Where the app wants to be present. A connection that took the place of the lost one (`resumed`) brings the presence of the
 * lost one along; then only what changed meanwhile is told. To any other connection the server knows nothing, and all is told.
 */
export declare class Presences {
    #private;
    /**
     * @param {Call} call
     * @param {(error: import("./errors.js").GreenroomError) => void} failed entering again was refused
     */
    constructor(call: Call, failed: (error: import("./errors.js").GreenroomError) => void);
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
     * There is a new connection, and calls that are still open have been made on it already.
     * @param {boolean} resumed
     */
    attach(resumed: boolean): void;
}
