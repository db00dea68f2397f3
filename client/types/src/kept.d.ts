import { GreenroomError } from "./errors.js";
export type ClientRow = import("./database.js").ClientRow;
export type OpRow = import("./database.js").OpRow;
export type Job = {
    apply: (clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => void;
    done: (error: unknown) => void;
};
/** @typedef {import("./database.js").ClientRow} ClientRow */
/** @typedef {import("./database.js").OpRow} OpRow */
/** @typedef {{apply: (clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => void, done: (error: unknown) => void}} Job */
/**
 * A client id in the database, owned by this page: the ops that were put down under it, and who it is to the server.
 * Writes are gathered: while one transaction runs, the next fills up. At most `maxBytes` of ops are kept, besides the bound
 * that the caller has on their number; an op that cannot be kept is told to the caller and to `failed`, once per series.
 */
export declare class KeptClient {
    #private;
    /** What an earlier page left, in the order of its numbers. */
    left: import("./database.js").OpRow[];
    /**
     * @param {import("./dom.js").Database} db
     * @param {{row: ClientRow, nextN: number, ops: OpRow[]}} taken
     * @param {() => void} release gives the lock back
     * @param {{maxBytes: number, clock: import("./types.js").Clock, failed: (error: GreenroomError) => void}} options
     */
    constructor(db: import("./dom.js").Database, { row, nextN, ops }: {
        row: ClientRow;
        nextN: number;
        ops: OpRow[];
    }, release: () => void, options: {
        maxBytes: number;
        clock: import("./types.js").Clock;
        failed: (error: GreenroomError) => void;
    });
    /**
     * A moment of the server's clock at which an op that was left had not been sent yet. Null: it never was; undefined: an older
     * version left it, and nobody knows.
     * @param {OpRow} op
     */
    firstSent({ firstSent }: OpRow): number | null | undefined;
    get key(): string;
    /** The client id; absent until a server has given one. */
    get client(): string | undefined;
    get user(): string | undefined;
    /** A number that no page has used under this client id. */
    number(): number;
    /**
     * @param {Pick<OpRow, "n" | "entity" | "type" | "body" | "ifSeq" | "tag" | "firstSent">} op
     * @param {(kept: boolean) => void} done once the transaction is complete, or when there will be none
     */
    put({ n, entity, type, body, ifSeq, tag, firstSent }: Pick<OpRow, "n" | "entity" | "type" | "body" | "ifSeq" | "tag" | "firstSent">, done: (kept: boolean) => void): void;
    /** The op is answered. If that cannot be written it is repeated by a later page, which the server answers as the repeat it is. @param {number} n */
    remove(n: number): void;
    /**
     * The server knows this client by these names from now on. Before `done`, no op that is kept may be sent: a later page would
     * repeat it under another client id, where it would happen a second time.
     * @param {{client: string, user: string, now: number | null}} identity and the server's time, before which nothing is sent that was put
     *   down without knowing it
     * @param {() => void} done is not called when another identity came before it was written
     */
    identify({ client, user, now }: {
        client: string;
        user: string;
        now: number | null;
    }, done: () => void): void;
    /** Takes all that is kept out of the database, the client id with it. */
    discard(): void;
    /** Writes what is waiting, then lets others own it. */
    close(): Promise<void>;
}
