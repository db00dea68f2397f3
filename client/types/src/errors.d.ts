/**
 * The one error type of the SDK. Branch on `code`: the server's stable string (`data.code` in docs/protocol.md),
 * or one of the SDK's own, which the server never sends: `closed`, `disconnected`, `timeout`, `queue_full`,
 * `outcome_unknown`, `replaced`, `storage_failed`, `invalid_argument`.
 */
export declare class GreenroomError extends Error {
    code: string;
    /** How long to wait before trying again, when the server said so. */
    retryAfterMs: number | undefined;
    /** With `conflict`: the entity's current seq. */
    seq: number | undefined;
    /** With `rejected`: why the behaviour refused. With `rate_limited`: which limit. With `storage_failed`: what went wrong. */
    reason: string | undefined;
    /** The JSON-RPC error number; absent for the SDK's own errors. */
    rpcCode: number | undefined;
    /** In the client's event `error`: the op of an earlier page that failed. */
    op: import("./types.js").PendingOp | undefined;
    /** Why there is no connection: the HTTP status with which the server refused it, where that can be known. */
    status: number | undefined;
    /** In the client's event `error`: signals that the server refused, and how many it were. */
    refused: {
        method: string;
        entity?: string;
        count: number;
    } | undefined;
    /**
     * @param {string} code
     * @param {string} message
     * @param {{retryAfterMs?: number, seq?: number, reason?: string, rpcCode?: number, status?: number,
     *   op?: import("./types.js").PendingOp, refused?: {method: string, entity?: string, count: number}, cause?: unknown}} [details]
     */
    constructor(code: string, message: string, details?: {
        retryAfterMs?: number;
        seq?: number;
        reason?: string;
        rpcCode?: number;
        status?: number;
        op?: import("./types.js").PendingOp;
        refused?: {
            method: string;
            entity?: string;
            count: number;
        };
        cause?: unknown;
    });
    /**
     * The same, said of one op.
     * @param {import("./types.js").PendingOp} op
     */
    about(op: import("./types.js").PendingOp): GreenroomError;
    /** @param {import("./types.js").RpcErrorBody} body */
    static fromRpc(body: import("./types.js").RpcErrorBody): GreenroomError;
}
/**
 * Whether it was refused for a limit of the connection, not of one entity. Whatever is sent next would be refused as well, so
 * the connection pauses, and nothing is counted against the request.
 * @param {unknown} error
 */
export declare function isConnectionLimit(error: unknown): boolean;
/**
 * @param {unknown} error
 * @returns {error is GreenroomError}
 */
export declare function isRetryable(error: unknown): error is GreenroomError;
