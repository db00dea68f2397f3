import { openLive } from "./live/open.js";
import { promised } from "./promised.js";

/**
 * One addressable thing, `kind:id`. A light handle: make as many as you like.
 * @template {string} [Id=string]
 */
export class Entity {
  #parts;

  /**
   * @param {Id} id
   * @param {{ops: import("./ops.js").Ops, calls: import("./calls.js").Calls, presences: import("./presence.js").Presences,
   *   subscriptions: import("./subscriptions.js").Subscriptions, pending: () => import("./types.js").PendingOp[],
   *   signals: import("./signals.js").Signals, isOwn: (tag: string) => boolean, user: () => string | null, now: () => number}} parts
   */
  constructor(id, parts) {
    this.id = id;
    this.#parts = parts;
  }

  /**
   * Starts to receive. Several subscriptions to one entity share what the server sends; each gets the state first, then all events.
   * @param {import("./types.js").SubscribeOptions} [options]
   */
  subscribe(options = {}) {
    const reads = {
      /** @param {number} after @param {number} limit */
      history: (after, limit) => this.#history({ after, limit }, { patient: true }),
      read: () => this.#parts.calls.make("read", { entity: this.id }, { patient: true }),
    };
    return this.#parts.subscriptions.add(this.id, options, reads);
  }

  /**
   * A durable op. Resolves when the server has it on disk; rejects when it was refused, or when its outcome cannot be known
   * (`unavailable` after all retries, `outcome_unknown`, `closed`). Without a connection it waits for one.
   * @param {string} type
   * @param {any} body
   * @param {{ifSeq?: number}} [options] `ifSeq`: only if the entity is at this seq, else `conflict`
   */
  send(type, body, { ifSeq } = {}) {
    return this.#parts.ops.add(this.id, type, body, ifSeq);
  }

  /**
   * The present state, kept up to date. `optimistic` shows one's own ops before the server has them.
   * @param {import("../types/greenroom.js").LiveOptions & {behaviour?: import("../types/greenroom.js").Behaviour}} [options]
   * @returns {any} a `LiveRoom` or a `LiveDocument`, by the behaviour
   */
  live(options = {}) {
    const { ops, user, now } = this.#parts;
    return openLive(this.id, options, {
      subscribe: () => this.subscribe({ signals: "none" }),
      send: (type, body, options) => this.send(type, body, options),
      history: (range) => this.#history(range, { patient: true }),
      ops,
      user,
      now,
    });
  }

  /** The ops of this entity that have no answer yet, in the order in which it gets them. */
  get pending() {
    return this.#parts.pending().filter(({ entity }) => entity === this.id);
  }

  /**
   * A volatile message to the other subscribers. It is not kept: without a connection it is dropped.
   * @param {string} type
   * @param {any} body
   * @param {{key?: string}} [options] `key`: a newer one with the same type and key replaces an undelivered older one
   * @returns {boolean} false when it was dropped. Where signals come faster than the server's rates allow, the latest of each key
   *   waits for its turn, and those without a key are dropped
   */
  signal(type, body, { key } = {}) {
    return this.#parts.signals.send(this.id, type, body, key);
  }

  /**
   * The committed state.
   * @returns {Promise<import("./types.js").ReadResult>}
   */
  read() {
    return this.#parts.calls.make("read", { entity: this.id });
  }

  /**
   * Events of the log, ascending: the last `limit` before `before` (or of all), or the first `limit` after `after`.
   * @param {{before?: number, after?: number, limit?: number}} [range]
   * @returns {Promise<import("./types.js").HistoryResult>}
   */
  history({ before, after, limit } = {}) {
    return this.#history({ before, after, limit });
  }

  /**
   * @param {object} range
   * @param {{patient?: boolean}} [options]
   * @returns {Promise<import("./types.js").HistoryResult>}
   */
  #history(range, options) {
    const { calls, isOwn } = this.#parts;
    return promised((resolve, reject) => {
      const mark = (/** @type {import("./types.js").HistoryResult} */ page) => {
        for (const event of page.events) if (event.tag !== undefined && isOwn(event.tag)) event.own = true;
        return page;
      };
      calls.make("history", { entity: this.id, ...range }, options).then(mark).then(resolve, reject);
    });
  }

  /** Who is here. `enter` is repeated after a reconnect until `leave`. */
  get presence() {
    const { presences } = this.#parts;
    return {
      list: () => presences.list(this.id),
      /** @param {object} [meta] a JSON object of at most 1 KiB; entering again updates it */
      enter: (meta) => presences.enter(this.id, meta),
      leave: () => presences.leave(this.id),
    };
  }
}
