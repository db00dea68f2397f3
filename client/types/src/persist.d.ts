/**
 * What outlives a reload: the client id, under which user it was used, the next number, and the ops without an answer.
 * @typedef {object} Saved
 * @property {string} client
 * @property {string} user
 * @property {number} nextN
 * @property {import("./op.js").LeftOp[]} ops
 */
export type Saved = {
    client: string;
    user: string;
    nextN: number;
    ops: import("./op.js").LeftOp[];
};
/**
 * Takes the record out of the storage. It is taken, not read, because a browser copies `sessionStorage` when a tab is
 * duplicated: two pages with the same client id would give two ops the same number, and the second would be lost as a repeat.
 * @param {import("./types.js").StorageLike} storage
 * @returns {Saved | null}
 */
export declare function take(storage: import("./types.js").StorageLike): Saved | null;
/**
 * @param {import("./types.js").StorageLike} storage
 * @param {Saved | null} saved
 */
export declare function put(storage: import("./types.js").StorageLike, saved: Saved | null): void;
