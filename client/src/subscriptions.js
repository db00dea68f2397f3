import { Backoff } from "./backoff.js";
import { GreenroomError, isRetryable } from "./errors.js";
import { Subscription } from "./subscription.js";

/** @typedef {{subscription: Subscription, backoff: Backoff, timer: any, asking: number, gaps: number}} Entry */

// What the `connect` request may take besides its subscriptions: the token, mostly.
const CONNECT_RESERVE_BYTES = 8_192;

/**
 * The app's subscriptions, one per entity, and their way over reconnects: they are resumed in the order in which they were
 * made, inside the `connect` request as far as they fit in one message, and one by one after it where they do not.
 */
export class Subscriptions {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {import("./rpc.js").Rpc | null} */
  #rpc = null;
  /** @type {Entry[]} those named in the `connect` that is under way */
  #connecting = [];
  #clock;

  /** @param {import("./types.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /**
   * @param {string} entity
   * @param {import("./types.js").SubscribeOptions} options
   * @param {Pick<import("./subscription.js").SubscriptionHooks, "history" | "read">} reads
   */
  add(entity, options, reads) {
    const previous = this.#entries.get(entity);
    if (previous) this.#drop(previous, null);
    const subscription = new Subscription(entity, options, { ...reads, gap: () => this.#gap(entry), close: () => this.#leave(entry) });
    /** @type {Entry} */
    const entry = { subscription, backoff: new Backoff({ baseMs: 250, capMs: 10_000 }, this.#clock.random), timer: null, asking: 0, gaps: 0 };
    this.#entries.set(entity, entry);
    this.#ask(entry);
    return subscription;
  }

  /**
   * What `connect` shall resume.
   * @param {number} maxMessageBytes
   * @param {number} used bytes that the request has without them
   */
  connectParams(maxMessageBytes, used) {
    let room = maxMessageBytes - CONNECT_RESERVE_BYTES - used;
    this.#connecting = [];
    for (const entry of this.#entries.values()) {
      room -= JSON.stringify(entry.subscription.params()).length + 1;
      if (room < 0) break;
      this.#connecting.push(entry);
    }
    return this.#connecting.map((entry) => entry.subscription.params());
  }

  /**
   * @param {import("./rpc.js").Rpc} rpc
   * @param {import("./types.js").SubscriptionAnswer[]} answers
   */
  attach(rpc, answers) {
    this.#rpc = rpc;
    const asked = this.#connecting;
    this.#connecting = [];
    asked.forEach((entry, index) => {
      const answer = answers[index];
      // Closed while the request was under way: the server has it, and need not.
      if (!this.#has(entry)) {
        if (!this.#entries.has(entry.subscription.entity)) rpc.notify("unsubscribe", { entity: entry.subscription.entity });
      } else if (answer?.result) this.#answered(entry, answer.result);
      else this.#refused(entry, answer?.error ? GreenroomError.fromRpc(answer.error) : new GreenroomError("internal", "the server did not answer it"));
    });
    for (const entry of [...this.#entries.values()]) if (!asked.includes(entry)) this.#ask(entry);
  }

  detach() {
    this.#rpc = null;
    for (const entry of this.#entries.values()) {
      this.#clock.clearTimeout(entry.timer);
      entry.subscription.suspend();
    }
  }

  /** @param {GreenroomError | null} error null when the app wanted it */
  close(error) {
    for (const entry of [...this.#entries.values()]) this.#drop(entry, error);
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  notification(method, params) {
    const entry = this.#entries.get(params.entity);
    if (!entry) return;
    const { subscription } = entry;
    if (method === "event") {
      const before = subscription.position;
      subscription.event(params);
      if (subscription.position !== before) entry.gaps = 0;
    } else if (method === "signal") subscription.signal(params);
    else if (method === "presence") subscription.presence(params);
    else if (method === "reset") subscription.reset(params);
  }

  /** @param {Entry} entry */
  #ask(entry) {
    const rpc = this.#rpc;
    if (!rpc) return;
    // Only the answer to the latest question counts: what comes between an older answer and the latest is not contiguous.
    const asking = ++entry.asking;
    rpc.ask("subscribe", entry.subscription.params(), (error, result) => {
      if (!this.#has(entry) || asking !== entry.asking || error?.code === "disconnected") return;
      if (error) this.#refused(entry, error);
      else this.#answered(entry, result);
    });
  }

  /**
   * @param {Entry} entry
   * @param {import("./types.js").SubscribeResult} result
   */
  #answered(entry, result) {
    entry.backoff.reset();
    entry.subscription.answered(result);
  }

  /**
   * @param {Entry} entry
   * @param {GreenroomError} error
   */
  #refused(entry, error) {
    if (!isRetryable(error)) return this.#drop(entry, error);
    this.#askLater(entry, (error.retryAfterMs ?? 0) + entry.backoff.next());
  }

  /** @param {Entry} entry */
  #gap(entry) {
    entry.gaps += 1;
    // The first is repaired at once; a server that leaves gap after gap is not asked in a tight loop.
    if (entry.gaps === 1) this.#ask(entry);
    else this.#askLater(entry, 250 + entry.backoff.next());
  }

  /**
   * @param {Entry} entry
   * @param {number} ms
   */
  #askLater(entry, ms) {
    this.#clock.clearTimeout(entry.timer);
    entry.timer = this.#clock.setTimeout(() => this.#ask(entry), ms);
  }

  /** The app closed it. @param {Entry} entry */
  #leave(entry) {
    if (!this.#has(entry)) return;
    this.#clock.clearTimeout(entry.timer);
    this.#entries.delete(entry.subscription.entity);
    this.#rpc?.notify("unsubscribe", { entity: entry.subscription.entity });
  }

  /**
   * @param {Entry} entry
   * @param {GreenroomError | null} error
   */
  #drop(entry, error) {
    this.#clock.clearTimeout(entry.timer);
    this.#entries.delete(entry.subscription.entity);
    entry.subscription.end(error);
  }

  /** @param {Entry} entry */
  #has(entry) {
    return this.#entries.get(entry.subscription.entity) === entry;
  }
}
