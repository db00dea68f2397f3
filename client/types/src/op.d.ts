import { GreenroomError } from "./errors.js";
export type Op = {
    /**
     * given when it is put down in the storage, or without one when it is first sent
     */
    n: number | null;
    entity: string;
    type: string;
    body: any;
    ifSeq: number | undefined;
    attempts: number;
    /**
     * answers that said "later"
     */
    refusals: number;
    /**
     * when it was first sent, by the server's clock
     */
    firstSent?: number;
    /**
     * when it went out on the present connection
     */
    sentAt: number | null;
    /**
     * it was sent, perhaps by an earlier page, and may have happened
     */
    doubtful: boolean;
    /**
     * it is being put down in the storage, and must not be sent yet
     */
    held: boolean;
    /**
     * the storage has it
     */
    kept: boolean;
    /**
     * an earlier page left it, so nobody here waits for its answer
     */
    restored: boolean;
    resolve: (result: import("./types.js").SendResult) => void;
    reject: (error: GreenroomError) => void;
};
/**
 * @typedef {object} Op
 * @property {number | null} n given when it is put down in the storage, or without one when it is first sent
 * @property {string} entity
 * @property {string} type
 * @property {any} body
 * @property {number | undefined} ifSeq
 * @property {number} attempts
 * @property {number} refusals answers that said "later"
 * @property {number} [firstSent] when it was first sent, by the server's clock
 * @property {number | null} sentAt when it went out on the present connection
 * @property {boolean} doubtful it was sent, perhaps by an earlier page, and may have happened
 * @property {boolean} held it is being put down in the storage, and must not be sent yet
 * @property {boolean} kept the storage has it
 * @property {boolean} restored an earlier page left it, so nobody here waits for its answer
 * @property {(result: import("./types.js").SendResult) => void} resolve
 * @property {(error: GreenroomError) => void} reject
 */
/**
 * @param {Pick<Op, "n" | "entity" | "type" | "body" | "ifSeq" | "resolve" | "reject">} given
 * @returns {Op}
 */
export declare function newOp(given: Pick<Op, "n" | "entity" | "type" | "body" | "ifSeq" | "resolve" | "reject">): Op;
/**
 * @param {Op} op
 * @returns {import("./types.js").PendingOp}
 */
export declare function pendingOp({ n, entity, type, body, attempts, sentAt, doubtful, kept, restored }: Op): import("./types.js").PendingOp;
/**
 * @param {any} body
 * @returns {any} its JSON form, or the error that it has none
 */
export declare function asJson(body: any): any;
