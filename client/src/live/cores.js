import { changeDocument, documentFrom } from "./document.js";
import { Earlier } from "./earlier.js";
import { applyEvent, latest, messagesFrom, placeOf, showOp, targetOf } from "./room.js";

/** @typedef {import("../../types/greenroom.js").Event} Event */
/** @typedef {import("./overlay.js").ShownOp} ShownOp */

/**
 * What a behaviour makes of a log. Pure, apart from what it holds itself.
 * @typedef {object} Core
 * @property {any} confirmed the state that the server has confirmed; the same object until it changes
 * @property {(snapshot: any, sameLog: boolean) => void} replace `sameLog`: it is of the log that the state so far was of
 * @property {(event: Event) => void} apply throws `Refused` where the event does not fit the state
 * @property {(state: any, op: ShownOp) => any} show the state as it will be when the server accepts `op`; throws `Refused` where it will not
 */

/** @implements {Core} */
export class DocumentCore {
  /** @type {any} */
  confirmed = undefined;

  /** @param {any} snapshot */
  replace(snapshot) {
    this.confirmed = documentFrom(snapshot);
  }

  /** @param {Event} event */
  apply({ type, body }) {
    this.confirmed = changeDocument(this.confirmed, type, body);
  }

  /** @param {any} state @param {ShownOp} op */
  show(state, { type, body }) {
    return changeDocument(state, type, body);
  }
}

/** @typedef {{messages: import("./room.js").Messages, hasEarlier: boolean}} RoomState */

/**
 * A room's latest messages, `limit` of them, and as many earlier ones as were asked for.
 * @implements {Core}
 */
export class RoomCore {
  /** @type {RoomState | undefined} */
  confirmed = undefined;
  /** @type {import("./room.js").Messages} */
  #messages = [];
  /** Nothing comes before the messages that are loaded. */
  #complete = false;
  /** @type {Earlier | null} null when the walk back has to begin at the end of the log */
  #earlier = null;
  #loading = false;
  #limit;
  #bound;

  /** @param {number} limit */
  constructor(limit) {
    this.#limit = this.#bound = limit;
  }

  /** @param {any} snapshot @param {boolean} [sameLog] */
  replace(snapshot, sameLog = false) {
    this.#bound = this.#limit;
    this.#earlier = null;
    this.#complete = false;
    this.#set(latest(messagesFrom(snapshot, sameLog ? this.#messages : []), this.#bound));
  }

  /** @param {Event} event */
  apply(event) {
    const target = targetOf(event);
    if (target !== null && placeOf(this.#messages, target) < 0) this.#earlier?.keep(event);
    this.#set(applyEvent(this.#messages, event));
    this.#trim();
  }

  /** @param {RoomState} state @param {ShownOp} op @returns {RoomState} */
  show({ messages, hasEarlier }, op) {
    return Object.freeze({ messages: showOp(messages, op), hasEarlier });
  }

  /** Until `endWalk` no message is dropped. @param {number} seq up to which the state has come @returns {Earlier} */
  walk(seq) {
    this.#loading = true;
    if (this.#earlier?.full) this.#earlier = null;
    return (this.#earlier ??= new Earlier(seq + 1));
  }

  /**
   * @param {Earlier} walk
   * @param {import("../../types/greenroom.js").HistoryResult} page
   * @returns {number | null} the messages that it brought; null where the state was replaced since the walk began
   */
  prepend(walk, { events, more }) {
    if (walk !== this.#earlier) return null;
    const found = walk.page(events, this.#messages[0]?.seq ?? Infinity);
    this.#complete = !more;
    this.#set(Object.freeze([...found, ...this.#messages]));
    return found.length;
  }

  endWalk() {
    this.#loading = false;
    this.#bound = Math.max(this.#limit, this.#messages.length);
  }

  #trim() {
    if (this.#loading || this.#messages.length <= this.#bound) return;
    this.#earlier = null;
    this.#complete = false;
    this.#set(latest(this.#messages, this.#bound));
  }

  /** @param {import("./room.js").Messages} messages */
  #set(messages) {
    const [oldest] = messages;
    // The first event of a log is a post.
    const hasEarlier = !this.#complete && oldest !== undefined && oldest.seq !== 1;
    if (this.confirmed && messages === this.#messages && hasEarlier === this.confirmed.hasEarlier) return;
    this.#messages = messages;
    this.confirmed = Object.freeze({ messages, hasEarlier });
  }
}
