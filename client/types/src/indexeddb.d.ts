import { GreenroomError } from "./errors.js";
import { KeptClient } from "./kept.js";
export type ClientRow = import("./database.js").ClientRow;
export type StorageLike = import("./types.js").StorageLike;
export type IndexedDbOptions = {
    /**
     * the database's name (default `greenroom`); give each account of one browser its own
     */
    name?: string;
    /**
     * of unanswered ops, for each page (default 8 MiB); their number is bounded by `maxPending`
     */
    maxBytes?: number;
    /**
     * for tests
     */
    indexedDB?: import("./dom.js").Factory;
    /**
     * for tests
     */
    locks?: import("./dom.js").Locks;
    /**
     * for tests; the tab's `sessionStorage`
     */
    session?: StorageLike | null;
};
/**
 * @typedef {object} IndexedDbOptions
 * @property {string} [name] the database's name (default `greenroom`); give each account of one browser its own
 * @property {number} [maxBytes] of unanswered ops, for each page (default 8 MiB); their number is bounded by `maxPending`
 * @property {import("./dom.js").Factory} [indexedDB] for tests
 * @property {import("./dom.js").Locks} [locks] for tests
 * @property {StorageLike | null} [session] for tests; the tab's `sessionStorage`
 */
/**
 * Keeps the client id and its unanswered ops in IndexedDB, so that they outlive a closed tab and a crashed browser. Pass it as
 * `storage` to `connect`. Throws where there is no IndexedDB.
 * @param {IndexedDbOptions} [options]
 */
export declare function indexedDbStorage(options?: IndexedDbOptions): IndexedDbStorage;
/** What `indexedDbStorage` makes; it holds nothing until a client opens it. */
export declare class IndexedDbStorage {
    #private;
    /** @type {string} */
    name: string;
    /** @type {number} */
    maxBytes: number;
    /** @type {StorageLike | null} */
    session: StorageLike | null;
    /**
     * @param {import("./dom.js").Factory} factory
     * @param {IndexedDbOptions} options
     */
    constructor(factory: import("./dom.js").Factory, { name, maxBytes, locks, session }: IndexedDbOptions);
    /**
     * For the SDK. Rejects with `storage_failed` where ops cannot be kept.
     * @param {string} url
     * @param {import("./types.js").Clock} clock
     * @param {(error: GreenroomError) => void} failed what goes wrong later, and loses no op that is in memory
     * @returns {Promise<Store>}
     */
    open(url: string, clock: import("./types.js").Clock, failed: (error: GreenroomError) => void): Promise<Store>;
}
/** The open database of one page: the client id that it owns, and the way to those that others left. */
export declare class Store {
    #private;
    /**
     * @param {import("./dom.js").Database} db
     * @param {import("./dom.js").Locks} locks
     * @param {{name: string, url: string, maxBytes: number, session: StorageLike | null, clock: import("./types.js").Clock,
     *   failed: (error: GreenroomError) => void}} options `url` without what changes from one connection to the next
     */
    constructor(db: import("./dom.js").Database, locks: import("./dom.js").Locks, options: {
        name: string;
        url: string;
        maxBytes: number;
        session: StorageLike | null;
        clock: import("./types.js").Clock;
        failed: (error: GreenroomError) => void;
    });
    /** The client id of this page. */
    get own(): KeptClient;
    /** Takes up the client id that this tab had, or one that nobody owns any more, those with ops first; or begins a new one. */
    claim(): Promise<void>;
    /**
     * A client id with unanswered ops whose owner is gone; it is this page's until it is closed. Removes spare ones on the way.
     * @param {Set<string>} except keys that are not wanted
     * @returns {Promise<KeptClient | null>}
     */
    orphan(except: Set<string>): Promise<KeptClient | null>;
    /** @param {boolean} discard */
    close(discard: boolean): Promise<void>;
}
