import { Emitter } from "./emitter.js";
import { GreenroomError } from "./errors.js";
import { Inbox } from "./inbox.js";

/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Member} Member */
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
 */

/**
 * @typedef {object} SubscriptionHooks
 * @property {() => void} gap an event is missing: ask again from the position
 * @property {() => void} close the app wants no more
 * @property {(after: number, limit: number) => Promise<import("./types.js").HistoryResult>} history
 * @property {() => Promise<import("./types.js").ReadResult>} read
 */

/**
 * What one app sees of one entity: each event once, in order, over as many connections as it takes. Read it as an async
 * iterable of items, or listen with `on`; both see all items. Listeners see them as they arrive; see `Inbox` for the bound
 * of the iterator and what happens there.
 *
 * @extends {Emitter<SubscriptionEvents>}
 */
export class Subscription extends Emitter {
  /** @type {"pending" | "live" | "closed"} `pending`: not answered yet, or being resumed */
  state = "pending";
  /** @type {Position | null} everything up to here has been delivered */
  position;
  /** @type {Map<string, Member> | null} who is here; null when unknown, or too many to be told */
  #members = null;
  #count = 0;
  #options;
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
    this.position = options.after ?? null;
    this.#options = options;
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
        presence: () => (options.presence ? this.#presence() : null),
      },
      options.after,
    );
  }

  /** Who is here, when `presence` was asked for: null when it is not known, or a crowd. @returns {Member[] | null} */
  get members() {
    return this.#members && [...this.#members.values()];
  }

  /** Ends it here and at the server. */
  close() {
    if (this.state === "closed") return;
    this.#hooks.close();
    this.end(null);
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

  /** The params of `subscribe`, from where it stands. */
  params() {
    const { events, signals, presence } = this.#options;
    return { entity: this.entity, after: this.position ?? undefined, events, signals, presence };
  }

  /** @param {import("./types.js").SubscribeResult} result */
  answered({ epoch, seq, events, snapshot, reason, presence }) {
    if (this.state === "closed") return;
    const known = this.position;
    this.state = "live";
    if (events) {
      for (const event of events) this.#event(event);
      this.position = { epoch, seq };
    } else {
      this.#replace(known ? "reset" : "snapshot", { epoch, seq, snapshot, reason });
    }
    if (presence) {
      this.#members = presence.members ? byUser(presence.members) : null;
      this.#count = presence.count;
      this.#deliver(this.#presence());
    }
    this.#ready(this);
  }

  /** @param {import("./types.js").Event} event */
  event(event) {
    if (this.state !== "live" || !this.position) return;
    if (event.seq <= this.position.seq) return;
    if (event.seq !== this.position.seq + 1) {
      this.state = "pending";
      return this.#hooks.gap();
    }
    this.#event(event);
  }

  /** @param {{from: string, type: string, body: any, key?: string}} signal */
  signal(signal) {
    if (this.state !== "live") return;
    this.#deliver({ ...signal, kind: "signal", entity: this.entity });
  }

  /** @param {{joined?: Member[], updated?: Member[], left?: string[], members?: Member[], count: number}} change */
  presence({ joined = [], updated = [], left = [], members, count }) {
    if (this.state !== "live") return;
    // The whole list takes the place of what was known; a count alone says that they are too many to be listed.
    if (members) this.#members = byUser(members);
    else if (joined.length + updated.length + left.length === 0) this.#members = null;
    for (const member of [...joined, ...updated]) this.#members?.set(member.user, member);
    for (const user of left) this.#members?.delete(user);
    this.#count = count;
    this.#deliver({ ...this.#presence(), joined, updated, left });
  }

  /** @param {{epoch: string, seq: number, snapshot: any, reason: string}} reset */
  reset(reset) {
    if (this.state === "closed") return;
    this.state = "live";
    this.#replace("reset", reset);
  }

  /** The connection is gone. */
  suspend() {
    if (this.state === "live") this.state = "pending";
  }

  /** @param {GreenroomError | null} error */
  end(error) {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#failed(error ?? new GreenroomError("closed", `the subscription to \`${this.entity}\` was closed`));
    this.#inbox.end(error);
    this.emit("close", error);
  }

  /** @param {import("./types.js").Event} event */
  #event(event) {
    const { position } = this;
    if (position && event.seq <= position.seq) return;
    if (position) this.position = { epoch: position.epoch, seq: event.seq };
    const { seq, at, from, type, body } = event;
    this.#deliver({ kind: "event", entity: this.entity, seq, at, from, type, body });
  }

  /**
   * @param {"snapshot" | "reset"} kind
   * @param {{epoch: string, seq: number, snapshot?: any, reason?: string}} state
   */
  #replace(kind, { epoch, seq, snapshot, reason }) {
    this.position = { epoch, seq };
    this.#deliver({ kind, entity: this.entity, epoch, seq, snapshot, reason });
  }

  /** @returns {import("./types.js").PresenceItem} */
  #presence() {
    return { kind: "presence", entity: this.entity, count: this.#count, members: this.members, joined: [], updated: [], left: [] };
  }

  /** @param {Item} item */
  #deliver(item) {
    this.#inbox.push(item);
    this.emit(item.kind, item);
    this.emit("item", item);
  }
}

/** @param {Member[]} members */
function byUser(members) {
  return new Map(members.map((member) => [member.user, member]));
}
