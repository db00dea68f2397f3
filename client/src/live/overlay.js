import { Refused } from "./draft.js";

/**
 * One of the client's own ops, as it is shown before it is confirmed.
 * @typedef {{type: string, body: any, key: string, from: string, at: number, restored: boolean}} ShownOp
 */

/**
 * The confirmed state with one's own ops on top, in their order. An op that does not apply changes nothing: the server will decide
 * over it. When only ops were added since the last look, only these are applied. Pure.
 */
export class Overlay {
  /** @type {{confirmed: any, ops: readonly ShownOp[], state: any}} */
  #last = { confirmed: undefined, ops: [], state: undefined };

  /**
   * @param {any} confirmed
   * @param {readonly ShownOp[]} ops the same objects as before for the same ops
   * @param {(state: any, op: ShownOp) => any} show
   */
  view(confirmed, ops, show) {
    const last = this.#last;
    const grown = confirmed === last.confirmed && last.ops.length <= ops.length && last.ops.every((op, index) => op === ops[index]);
    const state = ops.slice(grown ? last.ops.length : 0).reduce((state, op) => attempt(state, op, show), grown ? last.state : confirmed);
    this.#last = { confirmed, ops, state };
    return state;
  }
}

/**
 * @param {any} state
 * @param {ShownOp} op
 * @param {(state: any, op: ShownOp) => any} show
 */
function attempt(state, op, show) {
  try {
    return show(state, op);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return state;
  }
}
