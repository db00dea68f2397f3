import { Overlay } from "./overlay.js";

/** @typedef {import("../op.js").Op} Op */
/** @typedef {import("../types.js").SendResult} SendResult */
/** @typedef {import("../types.js").Position} Position */
/** @typedef {import("./overlay.js").ShownOp} ShownOp */

/**
 * Which of one's own ops the confirmed state does not have yet, over the three ways in which it can come to have one: its event
 * arrives, which its tag tells; its answer says where it happened, and the state has come that far; or a snapshot holds it.
 *
 * In the last case nobody can know before the answer, so an op that had been sent when a snapshot came is left out until then: it
 * is rather not shown for a moment than shown twice.
 */
export class OwnOps {
  overlay = new Overlay();
  /** @type {{op: Op, result: SendResult}[]} answered, and the state has not come that far; in the order of their seqs */
  #answered = [];
  /** @type {WeakSet<Op>} their events have arrived */
  #happened = new WeakSet();
  /** @type {WeakSet<Op>} a snapshot may hold them */
  #doubtful = new WeakSet();
  /** @type {WeakMap<Op, ShownOp>} */
  #described = new WeakMap();
  /** @type {string | null} */
  #from = null;
  #unanswered;
  #user;
  #now;

  /**
   * @param {() => readonly Op[]} unanswered in their order
   * @param {() => string | null} user
   * @param {() => number} now
   */
  constructor(unanswered, user, now) {
    this.#unanswered = unanswered;
    this.#user = user;
    this.#now = now;
  }

  /** Those to be shown on top of the confirmed state. @returns {ShownOp[]} */
  shown() {
    const user = this.#user();
    if (user !== this.#from) {
      // One's own ops are shown as those of who one is now.
      this.#from = user;
      this.#described = new WeakMap();
    }
    const unanswered = this.#unanswered().filter((op) => !this.#happened.has(op) && !this.#doubtful.has(op));
    return [...this.#answered.map(({ op }) => op), ...unanswered].map((op) => this.described(op));
  }

  /** @param {Op} op @returns {ShownOp} the same object each time */
  described(op) {
    let shown = this.#described.get(op);
    if (!shown) {
      const { type, body, tag, n, restored } = op;
      shown = Object.freeze({ type, body, key: tag ?? `left-${n}`, from: this.#from ?? "", at: this.#now(), restored });
      this.#described.set(op, shown);
    }
    return shown;
  }

  /**
   * The confirmed state was replaced.
   * @param {Position} position
   */
  replaced(position) {
    this.#answered = this.#answered.filter(({ result }) => result.epoch === position.epoch && result.seq > position.seq);
    for (const op of this.#unanswered()) if (op.doubtful) this.#doubtful.add(op);
  }

  /** The confirmed state has an event more. @param {{seq: number, tag?: string}} event */
  happened({ seq, tag }) {
    if (tag !== undefined) {
      const op = this.#unanswered().find((op) => op.tag === tag);
      if (op) this.#happened.add(op);
    }
    this.#answered = this.#answered.filter(({ result }) => result.seq > seq);
  }

  /**
   * @param {Op} op
   * @param {SendResult} result
   * @param {Position | null} position of the confirmed state
   */
  answered(op, result, position) {
    if (this.#happened.has(op)) return;
    if (position && position.epoch === result.epoch && position.seq >= result.seq) return;
    this.#answered.push({ op, result });
    this.#answered.sort((a, b) => a.result.seq - b.result.seq);
  }
}
