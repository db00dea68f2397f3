import { Emitter } from "./emitter.js";
import { GreenroomError } from "./errors.js";
import { Inbox } from "./inbox.js";

/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Position} Position */

/**
 * @typedef {object} SubscriptionEvents
 * @property {import("./types.js").SnapshotItem} snapshot
 * @property {import("./types.js").ResetItem} reset
 * @property {import("./types.js").EventItem} event
 * @property {import("./types.js").SignalItem} signal
 * @property {import("./types.js").PresenceItem} presence
 * @property {Item} item any of the above
 * @property {GreenroomError | null} close it ended; the error when that was not asked for
 * @property {"pending" | "live"} status for the SDK itself: `state` changed
 */

/**
 * @typedef {object} SubscriptionHooks
 * @property {() => void} close the app wants no more
 * @property {() => import("./types.js").PresenceItem} presence who is here now
 * @property {(after: number, limit: number) => Promise<import("./types.js").HistoryResult>} history
 * @property {() => Promise<import("./types.js").ReadResult>} read
 */

/**
 * What one part of an app sees of one entity: each event once, in order, over as many connections as it takes. Read it as an
 * async iterable of items, or listen with `on`; both see all items. Listeners see them as they arrive; see `Inbox` for the bound
 * of the iterator and what happens there.
 *
 * @extends {Emitter<SubscriptionEvents>}
 */
export class Subscription extends Emitter {
  /** @type {"pending" | "live" | "closed"} `pending`: not answered yet, or being resumed */
  state = "pending";
  /** @type {Position | null} everything up to here has been delivered */
  position;
  #hooks;
  #inbox;
  /** @type {(value: this) => void} */
  #ready = () => {};
  /** @type {(error: GreenroomError) => void} */
  #failed = () => {};
  /** @type {Promise<this>} resolves at the first answer; rejects when the server refuses, or when it is closed before */
  ready;

  /**
   * @param {string} entity
   * @param {import("./types.js").SubscribeOptions} options
   * @param {SubscriptionHooks} hooks
   */
  constructor(entity, options, hooks) {
    super();
    this.entity = entity;
    this.options = options;
    this.position = options.after ?? null;
    this.#hooks = hooks;
    this.ready = new Promise((resolve, reject) => {
      this.#ready = resolve;
      this.#failed = reject;
    });
    // Not everyone waits for it, and a refusal is told by `close` and by the iterator as well.
    this.ready.catch(() => {});
    this.#inbox = new Inbox(
      entity,
      options.buffer ?? 1_000,
      {
        position: () => this.position,
        replays: () => options.events !== "none",
        history: hooks.history,
        read: hooks.read,
        presence: () => (options.presence ? hooks.presence() : null),
      },
      options.after,
    );
  }

  /** Who is here, when `presence` was asked for: null when it is not known, or a crowd. */
  get members() {
    return this.options.presence ? this.#hooks.presence().members : null;
  }

  /** Ends it here, and at the server when nobody else on this page reads the entity. */
  close() {
    if (this.state === "closed") return;
    this.end(null);
    this.#hooks.close();
  }

  /** @returns {AsyncIterableIterator<Item>} leaving the loop closes the subscription */
  [Symbol.asyncIterator]() {
    /** @type {AsyncIterableIterator<Item>} */
    const iterator = {
      next: () => this.#inbox.next(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  // What follows is called by the SDK, not by apps.

  /** The items that bring it up to date have been delivered. */
  live() {
    if (this.state === "closed") return;
    this.state = "live";
    this.#ready(this);
    this.emit("status", this.state);
  }

  /** The connection is gone, or something is missing. */
  suspend() {
    if (this.state !== "live") return;
    this.state = "pending";
    this.emit("status", this.state);
  }

  /** How to read on without the others. */
  get reads() {
    return this.#hooks;
  }

  /** It cannot go on. @param {GreenroomError} error */
  fail(error) {
    this.end(error);
    this.#hooks.close();
  }

  /** @param {import("./types.js").EventItem} item */
  event(item) {
    if (this.position) this.position = { epoch: this.position.epoch, seq: item.seq };
    if (this.options.events !== "none") this.deliver(item);
  }

  /** @param {{epoch: string, seq: number, snapshot?: any, reason?: string}} state that takes the place of what the app has */
  replace({ epoch, seq, snapshot, reason }) {
    const kind = this.position ? "reset" : "snapshot";
    this.position = { epoch, seq };
    this.deliver({ kind, entity: this.entity, epoch, seq, snapshot, reason });
  }

  /** @param {Item} item */
  deliver(item) {
    if (this.state === "closed") return;
    this.#inbox.push(item);
    this.emit(item.kind, item);
    this.emit("item", item);
  }

  /** @param {GreenroomError | null} error */
  end(error) {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#failed(error ?? new GreenroomError("closed", `the subscription to \`${this.entity}\` was closed`));
    this.#inbox.end(error);
    this.emit("close", error);
  }
}
