import { GreenroomError } from "./errors.js";

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
export function newOp(given) {
  return { ...given, attempts: 0, refusals: 0, sentAt: null, doubtful: false, held: false, kept: false, restored: false };
}

/**
 * @param {Op} op
 * @returns {import("./types.js").PendingOp}
 */
export function pendingOp({ n, entity, type, body, attempts, sentAt, doubtful, kept, restored }) {
  return { n, entity, type, body, state: doubtful ? "sent" : "queued", attempts, inFlight: sentAt !== null, kept, restored };
}

/**
 * @param {any} body
 * @returns {any} its JSON form, or the error that it has none
 */
export function asJson(body) {
  try {
    return JSON.parse(JSON.stringify(body ?? null) ?? "null");
  } catch (cause) {
    return new GreenroomError("invalid_argument", "the body is no JSON value", { cause });
  }
}
