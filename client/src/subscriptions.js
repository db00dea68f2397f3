import { Backoff } from "./backoff.js";
import { byteLength } from "./body.js";
import { GreenroomError, codeOf, isRetryable } from "./errors.js";
import { Feed } from "./feed.js";
import { Subscription } from "./subscription.js";

/**
 * @typedef {object} Entry
 * @property {Feed} feed
 * @property {Backoff} backoff
 * @property {any} timer until it is looked at again; null when none is set
 * @property {boolean} busy a request about it is under way
 * @property {boolean} told the server may have the subscription, since it was asked for it on this connection
 * @property {boolean} has the server has it
 * @property {boolean} fresh what the server has is all that is wanted, and nothing is missing
 * @property {number} gaps in a row
 */

/** @typedef {{entry: Entry, generation: number, covers: string}} Asked */

/**
 * The app's subscriptions: one feed per entity, which those that want the same entity share, and its way over reconnects. Feeds
 * are resumed in the order in which they were made, inside the `connect` request as far as they fit in, and one by one after it
 * where they do not.
 *
 * Of one entity a single request is under way at a time, and after each answer it is compared what the server has with what the
 * app wants by then. So a subscription that is closed before it was asked for is not asked for, and one that is closed later is
 * ended after it has begun.
 */
export class Subscriptions {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {import("./rpc.js").Rpc | null} */
  #rpc = null;
  /** @type {Asked[]} those named in the `connect` that is under way */
  #connecting = [];
  #clock;
  #own;

  /**
   * @param {import("./types.js").Clock} clock
   * @param {(tag: string) => boolean} own whether this client sent an event that is about to be delivered
   */
  constructor(clock, own) {
    this.#clock = clock;
    this.#own = own;
  }

  /**
   * @param {string} entity
   * @param {import("./types.js").SubscribeOptions} options
   * @param {Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">} reads
   */
  add(entity, options, reads) {
    const entry = this.#entries.get(entity) ?? this.#begin(entity);
    const { feed } = entry;
    const before = JSON.stringify(feed.options());
    const first = feed.members.size === 0;
    const subscription = new Subscription(entity, options, {
      ...reads,
      presence: () => feed.presenceItem(),
      close: () => {
        feed.remove(subscription);
        this.#left(entry);
      },
    });
    feed.add(subscription);
    if (first || before !== JSON.stringify(feed.options())) entry.fresh = false;
    if (entry.fresh) feed.joinAll();
    else this.#look(entry);
    return subscription;
  }

  /**
   * What `connect` shall resume.
   * @param {number} room bytes
   */
  connectParams(room) {
    this.#connecting = [];
    const named = [];
    for (const entry of this.#entries.values()) {
      if (entry.feed.members.size === 0) continue;
      const params = entry.feed.params();
      room -= byteLength(JSON.stringify(params)) + 1;
      if (room < 0) break;
      this.#connecting.push(asked(entry));
      named.push(params);
    }
    return named;
  }

  /**
   * @param {import("./rpc.js").Rpc} rpc
   * @param {import("./types.js").SubscriptionAnswer[]} answers
   */
  attach(rpc, answers) {
    this.#rpc = rpc;
    const named = this.#connecting;
    this.#connecting = [];
    // While these are gone through nothing else is asked for.
    for (const { entry } of named) entry.busy = entry.told = true;
    named.forEach((asked, index) => {
      const answer = answers[index];
      const error = answer?.error ? GreenroomError.fromRpc(answer.error) : new GreenroomError("internal", "the server did not answer it");
      this.#answered(asked, answer?.result ? null : error, answer?.result);
    });
    for (const entry of [...this.#entries.values()]) this.#look(entry);
  }

  detach() {
    this.#rpc = null;
    for (const [entity, entry] of [...this.#entries]) {
      this.#stop(entry);
      entry.busy = entry.told = entry.has = entry.fresh = false;
      if (entry.feed.members.size === 0) this.#entries.delete(entity);
      entry.feed.suspend();
    }
  }

  /** @param {GreenroomError | null} error null when the app wanted it */
  close(error) {
    for (const entry of [...this.#entries.values()]) {
      this.#end(entry, error);
      this.#stop(entry);
    }
    this.#entries.clear();
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  notification(method, params) {
    const entry = this.#entries.get(params.entity);
    if (!entry) return;
    const { feed } = entry;
    if (method === "event") {
      feed.event(params);
      if (entry.fresh) entry.gaps = 0;
    } else if (method === "signal") feed.signal(params);
    else if (method === "presence") feed.presence(params);
    else if (method === "reset") feed.reset(params);
    else if (method === "unsubscribed") {
      entry.told = entry.has = false;
      this.#end(entry, new GreenroomError(codeOf(params.reason), `the right to read \`${params.entity}\` has ended`));
      this.#look(entry);
    }
  }

  /** @param {string} entity */
  #begin(entity) {
    /** @type {Entry} */
    const entry = {
      feed: new Feed(entity, { gap: () => this.#gap(entry), own: this.#own }),
      backoff: new Backoff({ baseMs: 250, capMs: 10_000 }, this.#clock.random),
      timer: null,
      busy: false,
      told: false,
      has: false,
      fresh: false,
      gaps: 0,
    };
    this.#entries.set(entity, entry);
    return entry;
  }

  /** Asks for what is missing, or says what is not wanted any more. @param {Entry} entry */
  #look(entry) {
    const { feed } = entry;
    if (!this.#rpc || entry.busy || entry.timer !== null) return;
    if (feed.members.size > 0) {
      if (!entry.fresh) this.#subscribe(entry, this.#rpc);
    } else if (entry.told) this.#unsubscribe(entry, this.#rpc);
    else if (this.#entries.get(feed.entity) === entry) this.#entries.delete(feed.entity);
  }

  /**
   * @param {Entry} entry
   * @param {import("./rpc.js").Rpc} rpc
   */
  #subscribe(entry, rpc) {
    const { feed } = entry;
    let question = asked(entry);
    entry.busy = true;
    const params = () => {
      if (feed.members.size === 0) return null;
      question = asked(entry);
      entry.told = true;
      return feed.params();
    };
    rpc.ask("subscribe", params, (error, result) => {
      if (rpc !== this.#rpc || error?.code === "disconnected") return;
      this.#answered(question, error, result);
      this.#look(entry);
    });
  }

  /**
   * @param {Entry} entry
   * @param {import("./rpc.js").Rpc} rpc
   */
  #unsubscribe(entry, rpc) {
    const { feed } = entry;
    entry.busy = true;
    const params = () => (feed.members.size === 0 ? { entity: feed.entity } : null);
    rpc.ask("unsubscribe", params, (error) => {
      if (rpc !== this.#rpc || error?.code === "disconnected") return;
      entry.busy = false;
      const unsent = error?.code === "closed";
      if (error && isRetryable(error)) return this.#later(entry, (error.retryAfterMs ?? 0) + entry.backoff.next());
      if (!unsent) entry.told = entry.has = false;
      this.#look(entry);
    });
  }

  /**
   * @param {Asked} question
   * @param {GreenroomError | null} error
   * @param {import("./types.js").SubscribeResult} [result]
   */
  #answered({ entry, generation, covers }, error, result) {
    const { feed } = entry;
    entry.busy = false;
    // It was not sent, or is no answer to what is wanted now: all who wanted it are gone.
    if (error?.code === "closed") return;
    if (result) entry.has = true;
    else entry.told = entry.has;
    if (generation !== feed.generation || feed.members.size === 0) return;
    if (!error && result) {
      entry.backoff.reset();
      entry.fresh = covers === JSON.stringify(feed.options());
      return feed.answered(result);
    }
    if (!error) return;
    if (isRetryable(error)) return this.#later(entry, (error.retryAfterMs ?? 0) + entry.backoff.next());
    this.#end(entry, error);
  }

  /** @param {Entry} entry */
  #gap(entry) {
    entry.gaps += 1;
    entry.fresh = false;
    // The first is repaired at once; a server that leaves gap after gap is not asked in a tight
    // loop.
    if (entry.gaps === 1) this.#look(entry);
    else this.#later(entry, 250 + entry.backoff.next());
  }

  /**
   * @param {Entry} entry
   * @param {number} ms
   */
  #later(entry, ms) {
    this.#stop(entry);
    entry.timer = this.#clock.setTimeout(() => {
      entry.timer = null;
      this.#look(entry);
    }, ms);
  }

  /** @param {Entry} entry */
  #stop(entry) {
    this.#clock.clearTimeout(entry.timer);
    entry.timer = null;
  }

  /** The app closed one of them. @param {Entry} entry */
  #left(entry) {
    if (entry.feed.members.size > 0) return;
    entry.fresh = false;
    this.#stop(entry);
    if (this.#rpc) this.#look(entry);
    else if (!this.#connecting.some((asked) => asked.entry === entry)) this.#entries.delete(entry.feed.entity);
  }

  /**
   * @param {Entry} entry
   * @param {GreenroomError | null} error
   */
  #end(entry, error) {
    const { feed } = entry;
    for (const subscription of [...feed.members]) {
      feed.remove(subscription);
      subscription.end(error);
    }
    entry.fresh = false;
  }
}

/** @param {Entry} entry @returns {Asked} */
function asked(entry) {
  return { entry, generation: entry.feed.generation, covers: JSON.stringify(entry.feed.options()) };
}
