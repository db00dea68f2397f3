/**
 * @typedef {object} Op
 * @property {number | null} n given when it is put down in the storage, or without one when it is first sent
 * @property {string} entity
 * @property {string} type
 * @property {any} body
 * @property {number | undefined} ifSeq
 * @property {number} attempts
 * @property {number} refusals answers that said "later"
 * @property {string | undefined} tag names it to this client in the event that it becomes; an older version may have sent it without
 * @property {number | null | undefined} firstSent when it was first sent by the server's clock, or for one that may have been sent by an
 *   earlier page a moment before that; null before it is sent, undefined when nobody knows
 * @property {number | null} sentAt when it went out on the present connection
 * @property {boolean} doubtful it was sent, perhaps by an earlier page, and may have happened
 * @property {boolean} held it is being put down in the storage, and must not be sent yet
 * @property {boolean} kept the storage has it
 * @property {boolean} restored an earlier page left it, so nobody here waits for its answer
 * @property {boolean} seen its event has been delivered, though its answer has not come
 * @property {(result: import("./types.js").SendResult) => void} resolve
 * @property {(error: import("./errors.js").GreenroomError) => void} reject
 */

/**
 * What of an op outlives its page. `tag` and `firstSent` are absent in what older versions left.
 * @typedef {{n: number | null, entity: string, type: string, body: any, ifSeq?: number, tag?: string, firstSent?: number | null}} LeftOp
 */

/**
 * @param {LeftOp & Pick<Op, "resolve" | "reject">} given
 * @returns {Op}
 */
export function newOp({ n, entity, type, body, ifSeq, tag, firstSent, resolve, reject }) {
  const given = { n, entity, type, body, ifSeq, tag: tag ?? (firstSent === null ? newTag() : undefined), firstSent, resolve, reject };
  return { ...given, attempts: 0, refusals: 0, sentAt: null, doubtful: false, held: false, kept: false, restored: false, seen: false };
}

function newTag() {
  return [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(36).padStart(2, "0")).join("");
}

/**
 * @param {Op} op
 * @returns {import("./types.js").PendingOp}
 */
export function pendingOp({ n, entity, type, body, attempts, sentAt, doubtful, kept, restored }) {
  return { n, entity, type, body, state: doubtful ? "sent" : "queued", attempts, inFlight: sentAt !== null, kept, restored };
}
