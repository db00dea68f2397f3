/** @typedef {import("../types/greenroom.js").ErrorCode} ErrorCode */

/** What servers answer. */
export const SERVER_CODES = /** @type {const} */ ([
  "parse_error", "invalid_request", "method_not_found", "invalid_params", "internal",
  "not_connected", "unauthorized", "token_expired", "forbidden", "unknown_kind",
  "rejected", "conflict", "too_large", "op_expired",
  "rate_limited", "overloaded", "too_many_subscriptions", "too_many_in_flight",
  "unavailable", "shutting_down", "corrupt",
]);

/**
 * The one error type of the SDK. Branch on `code`: the server's stable string (`data.code` in docs/protocol.md),
 * or one of the SDK's own, which the server never sends.
 */
export class GreenroomError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {import("../types/greenroom.js").ErrorDetails} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "GreenroomError";
    this.code = code;
    /** How long to wait before trying again, when the server said so. */
    this.retryAfterMs = details.retryAfterMs;
    /** With `conflict`: the entity's current seq. */
    this.seq = details.seq;
    /** With `rejected`: why the behaviour refused. With `rate_limited`: which limit. With `storage_failed`: what went wrong. */
    this.reason = details.reason;
    /** The JSON-RPC error number; absent for the SDK's own errors. */
    this.rpcCode = details.rpcCode;
    /** In the client's event `error`: the op of an earlier page that failed. */
    this.op = details.op;
    /** Why there is no connection: the HTTP status with which the server refused it, where that can be known. */
    this.status = details.status;
    /** In the client's event `error`: signals that the server refused, and how many it were. */
    this.refused = details.refused;
  }

  /** @param {import("./types.js").RpcErrorBody} body */
  static fromRpc(body) {
    const data = body.data ?? {};
    const code = SERVER_CODES.find((code) => code === data.code);
    // A newer server may have codes that no app of today can branch on.
    const message = code || data.code === undefined ? body.message : `${body.message} (${data.code})`;
    return new GreenroomError(code ?? "unknown", message, {
      retryAfterMs: data.retry_after_ms,
      seq: data.seq,
      reason: data.reason,
      rpcCode: body.code,
    });
  }
}

/**
 * The same, said of one op.
 * @param {GreenroomError} error
 * @param {import("./types.js").PendingOp} op
 */
export function aboutOp(error, op) {
  const { code, message, retryAfterMs, seq, reason, rpcCode } = error;
  return new GreenroomError(code, message, { retryAfterMs, seq, reason, rpcCode, op, cause: error });
}

/**
 * The code that a notification gives as its reason.
 * @param {unknown} reason
 * @returns {ErrorCode}
 */
export const codeOf = (reason) => SERVER_CODES.find((code) => code === reason) ?? "forbidden";

// For each of these the server promises that the request may be made again and nothing happens
// twice.
const RETRYABLE = new Set(["unavailable", "overloaded", "rate_limited", "too_many_in_flight", "shutting_down", "disconnected"]);

// Of the reasons of `rate_limited`, those that concern whatever is sent next. Others concern an
// entity, or those that sleep.
const CONNECTION_RATES = new Set(["requests", "bytes", "user"]);

/**
 * Whether it was refused for a limit of the connection, not of one entity. Whatever is sent next would be refused as well, so
 * the connection pauses, and nothing is counted against the request.
 * @param {unknown} error
 */
export function isConnectionLimit(error) {
  if (!(error instanceof GreenroomError)) return false;
  if (error.code === "too_many_in_flight") return true;
  return error.code === "rate_limited" && error.reason !== undefined && CONNECTION_RATES.has(error.reason);
}

/**
 * @param {unknown} error
 * @returns {error is GreenroomError}
 */
export function isRetryable(error) {
  return error instanceof GreenroomError && RETRYABLE.has(error.code);
}
