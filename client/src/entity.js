/**
 * One addressable thing, `kind:id`. A light handle: make as many as you like.
 */
export class Entity {
  #parts;

  /**
   * @param {string} id
   * @param {{ops: import("./ops.js").Ops, calls: import("./calls.js").Calls, presences: import("./presence.js").Presences,
   *   subscriptions: import("./subscriptions.js").Subscriptions, pending: () => import("./types.js").PendingOp[],
   *   signal: (params: object) => boolean}} parts
   */
  constructor(id, parts) {
    this.id = id;
    this.#parts = parts;
  }

  /**
   * Starts to receive. An entity has one subscription: an earlier one of this client is closed.
   * @param {import("./types.js").SubscribeOptions} [options]
   */
  subscribe(options = {}) {
    const reads = {
      /** @param {number} after @param {number} limit */
      history: (after, limit) => this.#parts.calls.make("history", { entity: this.id, after, limit }, { patient: true }),
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

  /** The ops of this entity that have no answer yet, in the order in which it gets them. */
  get pending() {
    return this.#parts.pending().filter(({ entity }) => entity === this.id);
  }

  /**
   * A volatile message to the other subscribers. It is not kept: without a connection it is dropped.
   * @param {string} type
   * @param {any} body
   * @param {{key?: string}} [options] `key`: a newer one with the same type and key replaces an undelivered older one
   * @returns {boolean} whether it was sent
   */
  signal(type, body, { key } = {}) {
    return this.#parts.signal({ entity: this.id, type, body, key });
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
    return this.#parts.calls.make("history", { entity: this.id, before, after, limit });
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
