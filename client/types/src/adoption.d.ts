import { Connection } from "./connection.js";
import { Ops } from "./ops.js";
/**
 * Sends the ops that other pages left behind when they ended. They belong to those pages' client ids, so they go over a
 * connection of their own: one client id at a time, only while this page is connected, and only until all is answered.
 */
export declare class Adoption {
    #private;
    /**
     * @param {import("./indexeddb.js").Store} store
     * @param {{connection: ConstructorParameters<typeof Connection>[0], limits: ConstructorParameters<typeof Ops>[0], version: string, answerTimeoutMs: number}} options
     * @param {{connected: () => boolean, changed: () => void, failed: (error: import("./errors.js").GreenroomError) => void}} hooks
     */
    constructor(store: import("./indexeddb.js").Store, options: {
        connection: ConstructorParameters<typeof Connection>[0];
        limits: ConstructorParameters<typeof Ops>[0];
        version: string;
        answerTimeoutMs: number;
    }, hooks: {
        connected: () => boolean;
        changed: () => void;
        failed: (error: import("./errors.js").GreenroomError) => void;
    });
    /** @returns {import("./types.js").PendingOp[]} */
    get pending(): import("./types.js").PendingOp[];
    get count(): number;
    /** Looks for what others left, now and from time to time. */
    look(): void;
    /** What is not answered yet stays in the database. */
    stop(): Promise<void>;
}
