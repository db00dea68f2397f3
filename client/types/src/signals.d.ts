/**
 * Signals go out as fast as the server's rates allow. What is faster waits, the latest of each key, and is sent when it may be;
 * what has no key, or finds too many keys waiting, is dropped.
 */
export declare class Signals {
    #private;
    /**
     * @param {import("./connection.js").Connection} connection
     * @param {import("./types.js").Clock} clock
     */
    constructor(connection: import("./connection.js").Connection, clock: import("./types.js").Clock);
    /**
     * @param {string} entity
     * @param {string} type
     * @param {any} body
     * @param {string | undefined} key
     * @returns {boolean} false when it was dropped
     */
    send(entity: string, type: string, body: any, key: string | undefined): boolean;
    /** The connection is gone, and what was to be said with it. */
    clear(): void;
}
