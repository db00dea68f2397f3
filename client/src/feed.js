import { join } from "./join.js";

/** @typedef {import("./subscription.js").Subscription} Subscription */
/** @typedef {import("./types.js").Member} Member */
/** @typedef {import("./types.js").Position} Position */
/** @typedef {import("./types.js").SubscribeOptions} Options */

// Of what several subscriptions to an entity want, the server is asked for the most.
const EVENTS = ["none", "disconnect", "replay"];
const SIGNALS = ["none", "latest", "drop_oldest"];

/**
 * @typedef {object} FeedHooks
 * @property {() => void} gap an event is missing: ask again from the position
 * @property {(tag: string) => boolean} own whether this client sent the event with this tag, which is about to be delivered
 */

/**
 * What the server sends of one entity, and the subscriptions that share it. A subscription that comes later first gets the
 * state by itself (`join`), and what it has not asked for it does not get.
 */
export class Feed {
  /** @type {Set<Subscription>} */
  members = new Set();
  /** Goes up when the last subscription is closed; an answer to what was asked before that is no answer to what comes after it. */
  generation = 0;
  /** @type {Position | null} everything up to here has been delivered to those who are in step */
  #position = null;
  #live = false;
  /** @type {Set<Subscription>} those that have got everything up to the position */
  #inStep = new Set();
  /** @type {Set<Subscription>} those that are being brought there */
  #joining = new Set();
  /** @type {Map<string, Member> | null} who is here; null when unknown, or too many to be told */
  #present = null;
  #count = 0;
  #knowsPresence = false;
  #hooks;

  /**
   * @param {string} entity
   * @param {FeedHooks} hooks
   */
  constructor(entity, hooks) {
    this.entity = entity;
    this.#hooks = hooks;
  }

  /** @param {Subscription} subscription */
  add(subscription) {
    if (this.members.size === 0) this.#position = subscription.position;
    this.members.add(subscription);
    const { position } = subscription;
    const same = position?.epoch === this.#position?.epoch && position?.seq === this.#position?.seq;
    if (same && !this.#live) this.#inStep.add(subscription);
  }

  /** @param {Subscription} subscription */
  remove(subscription) {
    this.members.delete(subscription);
    this.#inStep.delete(subscription);
    this.#joining.delete(subscription);
    if (this.members.size > 0) return;
    this.generation += 1;
    this.#position = this.#present = null;
    this.#live = this.#knowsPresence = false;
  }

  /** What the server is to be asked for. */
  options() {
    const all = [...this.members].map(({ options }) => options);
    const events = most(all.map(({ events }) => events), EVENTS);
    const signals = most(all.map(({ signals }) => signals), SIGNALS);
    const presence = all.some(({ presence }) => presence) || all[0]?.presence;
    return { events, signals, presence };
  }

  /** The params of `subscribe`, from where it stands. */
  params() {
    return { entity: this.entity, after: this.#position ?? undefined, ...this.options() };
  }

  /** Brings those who came later up to date, once there is something to bring them to. */
  joinAll() {
    for (const subscription of this.members) {
      if (!this.#live || this.#inStep.has(subscription) || this.#joining.has(subscription)) continue;
      this.#joining.add(subscription);
      void this.#join(subscription);
    }
  }

  /** @param {Subscription} subscription */
  async #join(subscription) {
    const wanted = () => this.#joining.has(subscription);
    const deliver = (/** @type {import("./types.js").Event} */ event) => subscription.event(this.#item(event));
    try {
      const joined = await join(subscription, { position: () => this.#position, wanted, deliver });
      if (!joined) return;
      this.#joining.delete(subscription);
      this.#inStep.add(subscription);
      if (this.#knowsPresence && subscription.options.presence) subscription.deliver(this.presenceItem());
      if (this.#live) subscription.live();
    } catch (error) {
      if (!wanted()) return;
      subscription.fail(/** @type {import("./errors.js").GreenroomError} */ (error));
    }
  }

  /** @param {import("./types.js").SubscribeResult} result */
  answered({ epoch, seq, events, snapshot, reason, presence }) {
    this.#live = true;
    if (events) {
      for (const event of events) this.#deliver(event);
      this.#moveTo({ epoch, seq });
    } else {
      this.#replace({ epoch, seq, snapshot, reason }, ({ position }) => position === null);
    }
    if (presence) {
      this.#knowsPresence = true;
      this.#present = presence.members ? byUser(presence.members) : null;
      this.#count = presence.count;
      this.#tellPresence(this.presenceItem());
    }
    for (const subscription of [...this.#inStep]) subscription.live();
    this.joinAll();
  }

  /** @param {import("./types.js").Event} event */
  event(event) {
    if (!this.#live || !this.#position) return;
    if (event.seq <= this.#position.seq) return;
    if (event.seq === this.#position.seq + 1) return this.#deliver(event);
    this.suspend();
    this.#hooks.gap();
  }

  /** @param {{from: string, type: string, body: any, key?: string}} signal */
  signal(signal) {
    if (!this.#live) return;
    for (const subscription of [...this.#inStep]) {
      if (subscription.options.signals !== "none") subscription.deliver({ ...signal, kind: "signal", entity: this.entity });
    }
  }

  /** @param {{joined?: Member[], updated?: Member[], left?: string[], members?: Member[], count: number}} change */
  presence({ joined = [], updated = [], left = [], members, count }) {
    if (!this.#live) return;
    this.#knowsPresence = true;
    // The whole list takes the place of what was known; a count alone says that they are too many
    // to be listed.
    if (members) this.#present = byUser(members);
    else if (joined.length + updated.length + left.length === 0) this.#present = null;
    for (const member of [...joined, ...updated]) this.#present?.set(member.user, member);
    for (const user of left) this.#present?.delete(user);
    this.#count = count;
    this.#tellPresence({ ...this.presenceItem(), joined, updated, left });
  }

  /** @param {{epoch: string, seq: number, snapshot: any, reason: string}} reset */
  reset(reset) {
    this.#live = true;
    this.#replace(reset, () => true);
    for (const subscription of [...this.#inStep]) subscription.live();
  }

  /** The connection is gone, or an event is missing. */
  suspend() {
    this.#live = false;
    for (const subscription of this.members) subscription.suspend();
  }

  /** @returns {import("./types.js").PresenceItem} */
  presenceItem() {
    const members = this.#present && [...this.#present.values()];
    return { kind: "presence", entity: this.entity, count: this.#count, members, joined: [], updated: [], left: [] };
  }

  /** @param {import("./types.js").Event} event */
  #deliver(event) {
    const position = this.#position;
    if (position && event.seq <= position.seq) return;
    if (position) this.#position = { epoch: position.epoch, seq: event.seq };
    const item = this.#item(event);
    for (const subscription of [...this.#inStep]) subscription.event({ ...item });
  }

  /**
   * @param {import("./types.js").Event} event
   * @returns {import("./types.js").EventItem}
   */
  #item({ seq, at, from, type, body, tag, deleted }) {
    /** @type {import("./types.js").EventItem} */
    const item = { kind: "event", entity: this.entity, seq, at, from, type, body };
    if (deleted) item.deleted = deleted;
    if (tag === undefined) return item;
    item.tag = tag;
    if (this.#hooks.own(tag)) item.own = true;
    return item;
  }

  /** @param {Position} position */
  #moveTo(position) {
    this.#position = position;
    for (const subscription of this.#inStep) subscription.position = position;
  }

  /**
   * @param {{epoch: string, seq: number, snapshot?: any, reason?: string}} state
   * @param {(subscription: Subscription) => boolean} serves whether it serves one that is not in step
   */
  #replace(state, serves) {
    this.#position = { epoch: state.epoch, seq: state.seq };
    for (const subscription of [...this.members]) {
      if (!this.#inStep.has(subscription) && !serves(subscription)) continue;
      this.#joining.delete(subscription);
      this.#inStep.add(subscription);
      subscription.replace(state);
    }
  }

  /** @param {import("./types.js").PresenceItem} item */
  #tellPresence(item) {
    for (const subscription of [...this.#inStep]) if (subscription.options.presence) subscription.deliver({ ...item });
  }
}

/**
 * The one that comes last in `order`, as it was written; the default is the last of all.
 * @template {string} Value
 * @param {(Value | undefined)[]} values
 * @param {string[]} order
 */
function most(values, order) {
  const rank = (/** @type {Value | undefined} */ value) => (value === undefined ? order.length - 1 : order.indexOf(value));
  return values.reduce((best, value) => (rank(value) > rank(best) ? value : best), values[0]);
}

/** @param {Member[]} members */
function byUser(members) {
  return new Map(members.map((member) => [member.user, member]));
}
