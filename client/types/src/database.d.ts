export type ClientRow = {
    /**
     * also part of the name of the lock that its owner holds
     */
    key: string;
    /**
     * the server's address: its client ids mean nothing elsewhere
     */
    url: string;
    client?: string;
    user?: string;
    /**
     * every number below this may have been used
     */
    nextN: number;
    /**
     * when a page last took it
     */
    usedAt: number;
    /**
     * the server's time at the first connection over which ops were sent that were put down before
     * it; null where the server did not tell it
     */
    connectedAt?: number | null;
};
export type OpRow = {
    key: string;
    n: number;
    entity: string;
    type: string;
    body: any;
    ifSeq?: number;
    tag?: string;
    firstSent?: number | null;
    bytes: number;
    at: number;
};
/**
 * Opens the database, or rejects when that takes too long: another page with an older schema may hold it open.
 * @param {import("./dom.js").Factory} factory
 * @param {string} name
 * @param {import("./types.js").Clock} clock
 * @returns {Promise<import("./dom.js").Database>}
 */
export declare function openDatabase(factory: import("./dom.js").Factory, name: string, clock: import("./types.js").Clock): Promise<import("./dom.js").Database>;
/**
 * One transaction over both stores. Resolves when it is on disk (`strict`: a number that was sent must not be used again after a
 * power cut either), with what the function that `work` returned then gives.
 * @template T
 * @param {import("./dom.js").Database} db
 * @param {"readonly" | "readwrite"} mode
 * @param {(clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => () => T} work
 * @returns {Promise<T>}
 */
export declare function transact<T>(db: import("./dom.js").Database, mode: "readonly" | "readwrite", work: (clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => () => T): Promise<T>;
