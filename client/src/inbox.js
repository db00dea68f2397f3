/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Position} Position */

/**
 * @typedef {object} Source what the inbox asks of its subscription
 * @property {() => Position | null} position up to where the subscription has come
 * @property {() => boolean} replays whether the subscription carries events at all
 * @property {(after: number, limit: number) => Promise<import("./types.js").HistoryResult>} history
 * @property {() => Promise<import("./types.js").ReadResult>} read
 * @property {() => import("./types.js").PresenceItem | null} presence
 */

const PAGE = 200;

/**
 * The queue between a subscription and its async iterator, at most `bound` items long. A consumer that falls further behind
 * costs a position, not memory: the queue is dropped, and when the consumer asks again the inbox reads on from the entity's
 * history, from the last event the consumer took. Signals of that time are lost, as signals may be; presence is told anew.
 * Where the history no longer reaches back, the consumer gets a `reset` item.
 */
export class Inbox {
  /** @type {Item[]} */
  #items = [];
  /** @type {Position | null} of the last item that the consumer took */
  #taken = null;
  /** @type {Position | null} of the last item put in the queue */
  #last = null;
  #behind = false;
  #ended = false;
  /** @type {unknown} */
  #error = null;
  /** @type {(() => void) | null} */
  #wake = null;
  /** @type {Promise<unknown>} calls of `next` are served one after the other */
  #turn = Promise.resolve();
  #entity;
  #bound;
  #source;

  /**
   * @param {string} entity
   * @param {number} bound
   * @param {Source} source
   * @param {Position} [after]
   */
  constructor(entity, bound, source, after) {
    this.#entity = entity;
    this.#bound = bound;
    this.#source = source;
    this.#taken = this.#last = after ?? null;
  }

  /** @param {Item} item */
  push(item) {
    if (this.#behind || this.#ended) return;
    // Already read from the history.
    if (item.kind === "event" && this.#last && item.seq <= this.#last.seq) return;
    if (this.#items.length >= this.#bound) {
      this.#items = [];
      this.#behind = true;
      return;
    }
    this.#append(item);
    this.#wake?.();
  }

  /** @param {unknown} [error] */
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error ?? null;
    this.#wake?.();
  }

  /** @returns {Promise<IteratorResult<Item, undefined>>} */
  next() {
    const result = this.#turn.then(() => this.#take());
    this.#turn = result.catch(() => {});
    return result;
  }

  /** @returns {Promise<IteratorResult<Item, undefined>>} */
  async #take() {
    for (;;) {
      const item = this.#items.shift();
      if (item) {
        this.#taken = positionOf(item, this.#taken);
        return { done: false, value: item };
      }
      if (this.#ended) {
        const error = this.#error;
        this.#error = null;
        if (error) throw error;
        return { done: true, value: undefined };
      }
      if (this.#behind) await this.#catchUp().catch((error) => this.end(error));
      else await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      this.#wake = null;
    }
  }

  /** One step towards the present: a page of history, or the state where the history does not reach back. */
  async #catchUp() {
    const from = this.#taken;
    const page = from && this.#source.replays() && from.epoch === this.#source.position()?.epoch ? await this.#source.history(from.seq, PAGE) : null;
    const first = page?.events[0];
    const follows = from && page && page.epoch === from.epoch && (first ? first.seq === from.seq + 1 : this.#reached(from));
    this.#last = from;
    if (follows) {
      for (const event of page.events) this.#append({ kind: "event", entity: this.#entity, ...event });
    } else {
      const { epoch, seq, state } = await this.#source.read();
      this.#append({ kind: "reset", entity: this.#entity, epoch, seq, snapshot: state, reason: "fell_behind" });
    }
    if (!this.#reached(this.#last)) return;
    // From here on the live items follow without a gap: nothing can arrive between this look and
    // this line.
    this.#behind = false;
    const presence = this.#source.presence();
    if (presence) this.#items.push(presence);
  }

  /** @param {Position | null} position */
  #reached(position) {
    const live = this.#source.position();
    return live === null || (position !== null && position.epoch === live.epoch && position.seq >= live.seq);
  }

  /** @param {Item} item */
  #append(item) {
    this.#items.push(item);
    this.#last = positionOf(item, this.#last);
  }
}

/**
 * @param {Item} item
 * @param {Position | null} before
 * @returns {Position | null}
 */
function positionOf(item, before) {
  if (item.kind === "snapshot" || item.kind === "reset") return { epoch: item.epoch, seq: item.seq };
  if (item.kind === "event") return before && { epoch: before.epoch, seq: item.seq };
  return before;
}
