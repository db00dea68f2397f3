/**
 * The messages of a room as far as the page knows them: the snapshot, the events after it and the history before it.
 * Pure: it knows no page and no connection.
 */

/**
 * @typedef {object} Message
 * @property {number} seq
 * @property {number} at
 * @property {string} from
 * @property {any} body
 * @property {number} [edited_at]
 * @property {boolean} [deleted]
 * @property {Record<string, string[]>} [reactions]
 */
/** @typedef {import("../greenroom.js").Event} Event */

export class Messages {
  /** @type {Map<number, Message>} */
  #bySeq = new Map();
  /** @type {Map<number, Event[]>} changes to messages that are not loaded yet, in order */
  #early = new Map();

  /** In the order in which they were posted. */
  get all() {
    return [...this.#bySeq.values()].sort((a, b) => a.seq - b.seq);
  }

  get size() {
    return this.#bySeq.size;
  }

  /** @param {number} seq */
  get(seq) {
    return this.#bySeq.get(seq);
  }

  /** @param {{messages?: Message[]}} state the room's snapshot */
  replace(state) {
    this.#early.clear();
    this.#bySeq = new Map((state.messages ?? []).map((message) => [message.seq, structuredClone(message)]));
  }

  /**
   * A live event.
   * @param {Event} event
   */
  apply(event) {
    if (event.type === "post") this.#post(event);
    else this.#change(event);
  }

  /**
   * A page of history, older than all pages so far. What the snapshot holds has all its changes already; what is older
   * gets those of this page and those that later pages had for it.
   * @param {Event[]} events
   * @returns {number} how many messages were not known before
   */
  prepend(events) {
    const added = events.filter(({ type, seq }) => type === "post" && !this.#bySeq.has(seq));
    for (const post of added) this.#post(post);
    const fresh = new Set(added.map(({ seq }) => seq));
    // An edit of a message that was deleted later has no body any more, and nothing to change.
    const changes = events.filter(({ type, body }) => type !== "post" && body !== null && (fresh.has(body?.seq) || !this.#bySeq.has(body?.seq)));
    /** @type {Map<number, Event[]>} */
    const byTarget = new Map();
    for (const change of changes) byTarget.set(change.body?.seq, [...(byTarget.get(change.body?.seq) ?? []), change]);
    for (const [seq, older] of byTarget) this.#early.set(seq, [...older, ...(this.#early.get(seq) ?? [])]);
    for (const seq of fresh) {
      for (const change of this.#early.get(seq) ?? []) this.#change(change);
      this.#early.delete(seq);
    }
    return added.length;
  }

  /** @param {Event} event */
  #post({ seq, at, from, body, deleted }) {
    this.#bySeq.set(seq, deleted ? { seq, at, from, body: null, deleted } : { seq, at, from, body });
  }

  /** @param {Event} event */
  #change({ type, at, from, body }) {
    const message = this.#bySeq.get(body?.seq);
    // What is deleted stays so, though its page may have changes from before.
    if (!message || message.deleted) return;
    if (type === "edit") Object.assign(message, { body: body.body, edited_at: at });
    if (type === "delete" || type === "purge") {
      message.deleted = true;
      message.body = null;
      delete message.reactions;
    }
    if (type === "react") {
      // Anything may be an emoji, also the name of what every object has.
      const own = message.reactions && Object.hasOwn(message.reactions, body.emoji);
      const who = new Set(own ? message.reactions?.[body.emoji] : []);
      if (body.remove) who.delete(from);
      else who.add(from);
      message.reactions = { ...message.reactions, [body.emoji]: [...who] };
      if (who.size === 0) delete message.reactions[body.emoji];
    }
  }
}
