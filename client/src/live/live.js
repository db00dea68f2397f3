import { Emitter } from "../emitter.js";
import { GreenroomError } from "../errors.js";
import { promised } from "../promised.js";
import { Refused } from "./draft.js";
import { OwnOps } from "./own.js";

/**
 * @typedef {object} LiveEvents
 * @property {{state: any, previous: any, events: readonly import("../../types/greenroom.js").Event[]}} change
 * @property {{op: import("../../types/greenroom.js").LiveOp, error: GreenroomError}} rejected
 * @property {GreenroomError | null} close
 */

/**
 * @typedef {object} LiveParts what the shell stands on
 * @property {() => import("../subscription.js").Subscription} subscribe
 * @property {import("../ops.js").Ops} ops
 * @property {(type: string, body: any, options?: {ifSeq?: number}) => Promise<import("../types.js").SendResult>} send
 * @property {(range: {before: number, limit: number}) => Promise<import("../types.js").HistoryResult>} history
 * @property {() => string | null} user
 * @property {() => number} now
 */

/**
 * The present state of one entity, over as many connections as it takes: the state that the server has confirmed and, where that
 * is asked for, one's own ops on top of it. What a behaviour does is in the core; here it meets the subscription and the ops.
 *
 * Listeners are called at most once a turn, whatever has happened in it; `state` is up to date at any time.
 * @template {import("./cores.js").Core} Core
 * @extends {Emitter<LiveEvents>}
 */
export class Live extends Emitter {
  /** @type {Core} */
  core;
  /** @type {LiveParts} */
  parts;
  /** @type {import("../types.js").Position | null} up to where the confirmed state has come */
  position = null;
  /** @type {Promise<this>} resolves at the first state; rejects when there will be none */
  ready;
  /** @type {"loading" | "live" | "stale" | "closed"} */
  #status = "loading";
  /** @type {GreenroomError | null} */
  #error = null;
  #own;
  #optimistic;
  #dirty = true;
  #scheduled = false;
  /** @type {any} what `getSnapshot` gave last */
  #snapshot = Object.freeze({ state: undefined, status: "loading", error: null, pending: Object.freeze([]) });
  /** What listeners know. */
  #told = this.#snapshot;
  /** @type {import("../../types/greenroom.js").Event[]} since listeners were last called */
  #events = [];
  /** @type {LiveEvents["rejected"][]} the same */
  #rejected = [];
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {import("../subscription.js").Subscription | null} */
  #subscription = null;
  /** @type {(value: this) => void} */
  #loaded = () => {};
  /** @type {(error: GreenroomError) => void} */
  #failed = () => {};
  #unwatch;

  /**
   * @param {string} entity
   * @param {Core} core
   * @param {LiveParts} parts
   * @param {boolean} optimistic
   */
  constructor(entity, core, parts, optimistic) {
    super();
    this.entity = entity;
    this.core = core;
    this.parts = parts;
    this.#optimistic = optimistic;
    this.ready = new Promise((resolve, reject) => {
      this.#loaded = resolve;
      this.#failed = reject;
    });
    // Not everyone waits for it, and a refusal is told by `close` and in `error` as well.
    this.ready.catch(() => {});
    this.#own = new OwnOps(() => parts.ops.of(entity), parts.user, parts.now);
    this.#unwatch = parts.ops.watch(entity, {
      changed: () => this.touched(),
      settled: (op, error, result) => {
        if (error && error.code !== "closed") this.#rejected.push({ op: this.#own.described(op), error });
        else if (!error && result) this.#own.answered(op, result, this.position);
        this.touched();
      },
    });
    this.#open();
  }

  /** The state with all that is known; undefined before the first. */
  get state() {
    return this.getSnapshot().state;
  }

  get status() {
    return this.getSnapshot().status;
  }

  get error() {
    return this.getSnapshot().error;
  }

  /** One's own ops that the confirmed state does not have yet. */
  get pending() {
    return this.getSnapshot().pending;
  }

  // Fields, so that they can be passed on as they are.

  /** The same object until something changes. */
  getSnapshot = () => {
    if (!this.#dirty) return this.#snapshot;
    this.#dirty = false;
    const last = this.#snapshot;
    const { core } = this;
    const ops = this.#own.shown();
    const state = this.#optimistic && core.confirmed !== undefined ? this.#own.overlay.view(core.confirmed, ops, (state, op) => core.show(state, op)) : core.confirmed;
    const same = ops.length === last.pending.length && ops.every((op, index) => op === last.pending[index]);
    const pending = same ? last.pending : Object.freeze(ops);
    if (state !== last.state || pending !== last.pending || this.#status !== last.status || this.#error !== last.error) {
      this.#snapshot = Object.freeze({ state, status: this.#status, error: this.#error, pending });
    }
    return this.#snapshot;
  };

  /**
   * Calls `listener` after each change of what `getSnapshot` gives.
   * @param {() => void} listener
   */
  subscribe = (listener) => {
    // The same function may be given twice, and be taken back once.
    const call = () => listener();
    this.#listeners.add(call);
    return () => void this.#listeners.delete(call);
  };

  /**
   * As `entity.send`. Where somebody listens to `rejected`, a refusal that nobody catches here is no unhandled rejection.
   * @param {string} type
   * @param {any} body
   * @param {{ifSeq?: number}} [options]
   * @returns {Promise<import("../types.js").SendResult>}
   */
  send(type, body, options) {
    const sent = promised((resolve, reject) => {
      this.parts.send(type, body, options).then(resolve, (error) => {
        if (this.hasListeners("rejected")) sent.catch(() => {});
        reject(error);
      });
    });
    return sent;
  }

  /** Ends it. The last state stays; ops on their way go on. */
  close() {
    this.#subscription?.close();
  }

  /** @returns {AsyncIterableIterator<any>} states, the latest whenever it is asked; leaving the loop closes it */
  [Symbol.asyncIterator]() {
    /** @type {any} */
    let last;
    let thrown = false;
    /** @type {AsyncIterableIterator<any>} */
    const iterator = {
      next: async () => {
        for (;;) {
          const { state, status, error } = this.getSnapshot();
          if (state !== last) return { done: false, value: (last = state) };
          if (status === "closed") {
            if (!error || thrown) return { done: true, value: undefined };
            thrown = true;
            throw error;
          }
          await new Promise((resolve) => {
            const off = this.subscribe(() => {
              off();
              resolve(undefined);
            });
          });
        }
      },
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #open() {
    const subscription = (this.#subscription = this.parts.subscribe());
    const replace = (/** @type {{epoch: string, seq: number, snapshot: any}} */ { epoch, seq, snapshot }) => {
      this.core.replace(snapshot, epoch === this.position?.epoch);
      this.position = { epoch, seq };
      this.#own.replaced(this.position);
      this.#moved(subscription);
    };
    subscription.on("snapshot", replace);
    subscription.on("reset", replace);
    subscription.on("event", (event) => this.#event(subscription, event));
    subscription.on("status", () => this.#moved(subscription));
    subscription.on("close", (error) => {
      if (subscription === this.#subscription) this.#close(error);
    });
  }

  /**
   * @param {import("../subscription.js").Subscription} subscription
   * @param {import("../types.js").EventItem} item
   */
  #event(subscription, { kind: _kind, entity: _entity, ...event }) {
    if (subscription !== this.#subscription) return;
    try {
      this.core.apply(event);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      // The state is not the one that the server has, as where a number has more digits than fit in here. It is asked for anew.
      this.#subscription = null;
      subscription.close();
      this.#open();
      return this.#moved(this.#subscription);
    }
    this.position = { epoch: this.position?.epoch ?? "", seq: event.seq };
    this.#own.happened(event);
    this.#events.push(event);
    this.touched();
  }

  /** @param {import("../subscription.js").Subscription | null} subscription */
  #moved(subscription) {
    if (subscription !== this.#subscription || this.#status === "closed") return;
    const loaded = this.core.confirmed !== undefined;
    this.#status = !loaded ? "loading" : subscription?.state === "live" ? "live" : "stale";
    this.touched();
    if (loaded) this.#loaded(this);
  }

  /** @param {GreenroomError | null} error */
  #close(error) {
    if (this.#status === "closed") return;
    // What was pending is shown as it was.
    const { state, pending } = this.getSnapshot();
    this.#unwatch();
    this.#status = "closed";
    this.#error = error;
    this.#failed(error ?? new GreenroomError("closed", `\`${this.entity}\` is not followed any more`));
    this.#snapshot = Object.freeze({ state, status: "closed", error, pending });
    this.#dirty = false;
    this.#schedule();
    this.emit("close", error);
  }

  /** For the SDK itself: something changed. */
  touched() {
    if (this.#status === "closed") return;
    this.#dirty = true;
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush() {
    this.#scheduled = false;
    const [now, previous, events, rejected] = [this.getSnapshot(), this.#told, this.#events, this.#rejected];
    this.#told = now;
    this.#events = [];
    this.#rejected = [];
    if (now !== previous) for (const listener of [...this.#listeners]) listener();
    if (now.state !== previous.state) this.emit("change", { state: now.state, previous: previous.state, events });
    for (const one of rejected) this.emit("rejected", one);
  }
}
