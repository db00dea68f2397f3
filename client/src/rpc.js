import { byteLength } from "./body.js";
import { GreenroomError, isConnectionLimit } from "./errors.js";

/**
 * Called once, with the error or the result.
 * @typedef {(error: GreenroomError | null, result?: any) => void} Done
 */

/** @typedef {object | undefined | (() => object | null)} Params a function is asked when it is sent; null: not wanted any more */

/** @typedef {{urgent?: boolean, once?: boolean}} How */

/** @typedef {{method: string, params: Params, done: Done, urgent: boolean, once: boolean}} Asked */

/**
 * JSON-RPC 2.0 over one connection; it ends with that connection and takes its unanswered requests along.
 *
 * At most `capacity` requests are in flight, and no more are sent than the pace allows. The others wait in a list of at most
 * `maxQueue`. A request that is refused for a limit of the connection is sent again after the pause that the server asks for.
 */
export class Rpc {
  #nextId = 1;
  /** @type {Map<number, Asked>} */
  #waiting = new Map();
  /** @type {Asked[]} */
  #queue = [];
  /** @type {Asked[]} refused for a limit, to be sent before those in the queue; at most `capacity` */
  #again = [];
  /** @type {Set<number>} what was in flight when an answer without id came, and has no answer yet */
  #suspects = new Set();
  /** @type {GreenroomError[]} the answers without id, which belong to some of the suspects */
  #nameless = [];
  #counted = 0;
  #ended = false;
  /** @type {any} until the pace allows more */
  #timer = null;
  #hooks;
  #clock;
  #pace;
  #maxQueue;
  /** Requests in flight at most; the server's limit, once `connect` has told it. */
  capacity = 16;
  /** The longest message the server takes; a longer one would cost the connection. */
  maxMessageBytes = 65_536;
  /** The longest body the server takes. */
  maxBodyBytes = Infinity;
  /** Whether the server echoes tags. */
  tags = false;

  /**
   * @param {object} hooks
   * @param {(text: string) => boolean} hooks.send
   * @param {(method: string, params: any) => void} hooks.notification
   * @param {(error: GreenroomError) => void} hooks.stray an error that answers nothing we asked
   * @param {() => void} hooks.free another request may be sent
   * @param {import("./types.js").Clock} clock
   * @param {import("./pace.js").Pace} pace
   * @param {number} maxQueue
   */
  constructor(hooks, clock, pace, maxQueue) {
    this.#hooks = hooks;
    this.#clock = clock;
    this.#pace = pace;
    this.#maxQueue = maxQueue;
  }

  /** How many more requests could be sent right now. */
  get free() {
    if (this.#ended || this.#queue.length + this.#again.length > 0) return 0;
    const room = Math.max(0, this.capacity - this.#counted);
    return room > 0 && this.#paced() ? room : 0;
  }

  /**
   * Asks, now or when it may. `done` runs while the answer is being read, before any message after it: what an answer changes
   * (a subscription's position) must be in place when the next event arrives, and a promise would be late, since several
   * messages can be read in one turn.
   * @param {string} method
   * @param {Params} params
   * @param {Done} done
   * @param {How} [how] `urgent` needs no slot and no pace: for `connect` and `ping`; `once`: the caller repeats it when it is
   *   refused for a limit
   */
  ask(method, params, done, { urgent = false, once = false } = {}) {
    if (this.#ended) return done(lost());
    const asked = { method, params, done, urgent, once };
    if (urgent || this.free > 0) return this.#send(asked);
    if (this.#queue.length >= this.#maxQueue) return done(new GreenroomError("queue_full", `${this.#maxQueue} requests are waiting already`));
    this.#queue.push(asked);
    this.#paced();
  }

  /**
   * `ask` as a promise, for answers whose place among the events does not matter.
   * @param {string} method
   * @param {object} [params]
   * @param {How} [how]
   * @returns {Promise<any>}
   */
  request(method, params, how) {
    return new Promise((resolve, reject) => this.ask(method, params, (error, result) => (error ? reject(error) : resolve(result)), how));
  }

  /**
   * Sends a request that is not answered.
   * @param {string} method
   * @param {object} params
   * @returns {boolean} whether it was sent
   */
  notify(method, params) {
    if (this.#ended) return false;
    const text = JSON.stringify({ jsonrpc: "2.0", method, params });
    const tooLarge = this.#tooLarge(text);
    if (tooLarge) throw tooLarge;
    return this.#put(text);
  }

  /** @param {string} text */
  receive(text) {
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(text);
    } catch (cause) {
      return this.#hooks.stray(new GreenroomError("parse_error", "the server sent a message that is not JSON", { cause }));
    }
    if (message === null || typeof message !== "object") return;
    if (typeof message.method === "string") return this.#notified(message.method, message.params ?? {});
    const error = message.error ? GreenroomError.fromRpc(message.error) : null;
    if (this.#waiting.has(message.id)) this.#settle(message.id, error, message.result);
    else if (message.id === null && error && this.#waiting.size > 0) this.#unnamed(error);
    else if (error) this.#hooks.stray(error);
    this.#resolveSuspects();
    this.#drain();
  }

  /** The connection is gone: what was not answered never will be. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#clock.clearTimeout(this.#timer);
    const asked = [...this.#waiting.values(), ...this.#again.splice(0), ...this.#queue.splice(0)];
    this.#waiting.clear();
    for (const { done } of asked) done(lost());
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  #notified(method, params) {
    if (method === "refused" && params.error) {
      const error = GreenroomError.fromRpc(params.error);
      if (isConnectionLimit(error)) this.#pace.refused(error.retryAfterMs);
    }
    this.#hooks.notification(method, params);
  }

  /** @param {Asked} asked */
  #send(asked) {
    const { method, params, done, urgent } = asked;
    const filled = typeof params === "function" ? params() : params;
    if (filled === null) return done(new GreenroomError("closed", "it was not wanted any more when it could be sent"));
    const id = this.#nextId++;
    let text;
    try {
      text = JSON.stringify({ jsonrpc: "2.0", id, method, params: filled });
    } catch (cause) {
      return done(new GreenroomError("invalid_argument", `the params of \`${method}\` are not JSON`, { cause }));
    }
    const tooLarge = this.#tooLarge(text);
    if (tooLarge) return done(tooLarge);
    if (!this.#put(text)) return done(lost());
    this.#waiting.set(id, asked);
    if (!urgent) this.#counted += 1;
  }

  /** @param {string} text */
  #put(text) {
    if (!this.#hooks.send(text)) return false;
    this.#pace.take(this.#pace.countsBytes ? byteLength(text) : 0);
    return true;
  }

  /**
   * @param {number} id
   * @param {GreenroomError | null} error
   * @param {any} [result]
   */
  #settle(id, error, result) {
    const asked = this.#waiting.get(id);
    if (!asked) return;
    this.#waiting.delete(id);
    this.#suspects.delete(id);
    if (!asked.urgent) this.#counted -= 1;
    if (error && isConnectionLimit(error)) {
      this.#pace.refused(error.retryAfterMs);
      if (!asked.urgent && !asked.once) return void this.#again.push(asked);
    }
    if (error) asked.done(error);
    else asked.done(null, result);
  }

  /**
   * The server could not read something and so does not say what. It is among what is in flight: all else gets an answer, and
   * the one that is left is the one.
   * @param {GreenroomError} error
   */
  #unnamed(error) {
    this.#nameless.push(error);
    for (const id of this.#waiting.keys()) this.#suspects.add(id);
  }

  #resolveSuspects() {
    while (this.#nameless.length > 0 && this.#suspects.size <= this.#nameless.length) {
      const [id] = this.#suspects;
      const error = /** @type {GreenroomError} */ (this.#nameless.shift());
      if (id === undefined) this.#hooks.stray(error);
      else this.#settle(id, error);
    }
  }

  /** Sends what waits, as far as it may, then lets others know. */
  #drain() {
    while (!this.#ended && this.#counted < this.capacity && this.#again.length + this.#queue.length > 0 && this.#paced()) {
      const asked = this.#again.shift() ?? this.#queue.shift();
      if (asked) this.#send(asked);
    }
    if (!this.#ended) this.#hooks.free();
  }

  /** Whether the pace allows another request; if not, it is looked again when it does. */
  #paced() {
    const ms = this.#pace.wait();
    if (ms === 0) return true;
    if (this.#timer === null) {
      this.#timer = this.#clock.setTimeout(() => {
        this.#timer = null;
        this.#drain();
      }, ms);
    }
    return false;
  }

  /** @param {string} text */
  #tooLarge(text) {
    // No character takes more than three bytes per UTF-16 unit, so most messages need no counting.
    if (text.length * 3 <= this.maxMessageBytes) return null;
    const bytes = byteLength(text);
    if (bytes <= this.maxMessageBytes) return null;
    return new GreenroomError("too_large", `the message has ${bytes} bytes, the server takes ${this.maxMessageBytes}`);
  }
}

function lost() {
  return new GreenroomError("disconnected", "the connection was lost before the answer came");
}
