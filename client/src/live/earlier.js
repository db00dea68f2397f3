import { changed, posted, targetOf } from "./room.js";

/** @typedef {import("../../types/greenroom.js").Event} Event */
/** @typedef {import("../../types/greenroom.js").LiveMessage} Message */

/** How many changes to messages that are not loaded are remembered; beyond that the walk begins anew. */
const MAX_CHANGES = 10_000;

/**
 * The walk back through a room's log. An event of the log may change a message that comes further back, so changes are remembered
 * until their message is found. Pure.
 */
export class Earlier {
  /** @type {Map<number, Event[]>} by the message that they change, each list in the order of the log */
  #changes = new Map();
  #count = 0;

  /** @param {number} before all events from here on have been seen */
  constructor(before) {
    this.before = before;
  }

  /** Whether it remembers more than it should. */
  get full() {
    return this.#count > MAX_CHANGES;
  }

  /** A live event changes a message that is not loaded. @param {Event} event */
  keep(event) {
    const target = targetOf(event);
    if (target === null) return;
    this.#changes.set(target, [...(this.#changes.get(target) ?? []), event]);
    this.#count += 1;
  }

  /**
   * The page of the log that ends at `before`.
   * @param {readonly Event[]} events
   * @param {number} oldest the seq of the oldest message that is loaded: from there on messages have their changes already
   * @returns {Message[]} the messages that the page holds, with all their changes
   */
  page(events, oldest) {
    /** @type {Map<number, Event[]>} */
    const found = new Map();
    for (const event of events) {
      const target = targetOf(event);
      if (target === null || target >= oldest) continue;
      found.set(target, [...(found.get(target) ?? []), event]);
      this.#count += 1;
    }
    for (const [target, older] of found) this.#changes.set(target, [...older, ...(this.#changes.get(target) ?? [])]);
    this.before = events[0]?.seq ?? this.before;
    return events.filter(({ type, seq }) => type === "post" && seq < oldest).map((post) => this.#withChanges(post));
  }

  /** @param {Event} post */
  #withChanges(post) {
    const changes = this.#changes.get(post.seq) ?? [];
    this.#changes.delete(post.seq);
    this.#count -= changes.length;
    return changes.reduce(changed, posted(post));
  }
}
