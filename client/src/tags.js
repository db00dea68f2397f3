/** @typedef {import("./op.js").Op} Op */

// Events of settled ops may still arrive when a subscription lags behind.
const REMEMBERED = 1_000;

/** By what a client recognizes the events of its own ops: those that have no answer yet, and the latest that have. */
export class Tags {
  /** @type {Map<string, Op>} */
  #pending = new Map();
  /** @type {Set<string>} */
  #settled = new Set();

  /** @param {Op} op */
  add(op) {
    if (op.tag !== undefined) this.#pending.set(op.tag, op);
  }

  /**
   * @param {Op} op
   * @param {boolean} happened a refused op makes no event
   */
  settled(op, happened) {
    if (op.tag === undefined) return;
    this.#pending.delete(op.tag);
    if (!happened) return;
    this.#settled.add(op.tag);
    if (this.#settled.size > REMEMBERED) this.#settled.delete(this.#settled.values().next().value ?? "");
  }

  /** The op without an answer that has this tag. @param {string} tag */
  pending(tag) {
    return this.#pending.get(tag);
  }

  /** Whether an op of this client has this tag. @param {string} tag */
  own(tag) {
    return this.#pending.has(tag) || this.#settled.has(tag);
  }
}
