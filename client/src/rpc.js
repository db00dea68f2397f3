import { GreenroomError } from "./errors.js";

/**
 * Called once, with the error or the result.
 * @typedef {(error: GreenroomError | null, result?: any) => void} Done
 */

/** @typedef {{done: Done, counted: boolean}} Waiting `counted`: it takes one of the slots */

/**
 * JSON-RPC 2.0 over one connection; it ends with that connection and takes its unanswered requests along.
 * At most `capacity` requests are in flight. Requests beyond that wait in a list of at most `maxQueue`.
 */
export class Rpc {
  #nextId = 1;
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  /** @type {(() => void)[]} */
  #queue = [];
  #counted = 0;
  #ended = false;
  #hooks;
  #maxQueue;
  /** Requests in flight at most; the server's limit, once `connect` has told it. */
  capacity = 16;
  /** The longest message the server takes; a longer one would cost the connection. */
  maxMessageBytes = 65_536;

  /**
   * @param {object} hooks
   * @param {(text: string) => boolean} hooks.send
   * @param {(method: string, params: any) => void} hooks.notification
   * @param {(error: GreenroomError) => void} hooks.stray an error that answers nothing we asked
   * @param {() => void} hooks.free a slot became free
   * @param {number} maxQueue
   */
  constructor(hooks, maxQueue) {
    this.#hooks = hooks;
    this.#maxQueue = maxQueue;
  }

  /** How many more requests could be sent right now. */
  get free() {
    return this.#ended || this.#queue.length > 0 ? 0 : Math.max(0, this.capacity - this.#counted);
  }

  /**
   * Asks, now or when a slot is free. `done` runs while the answer is being read, before any message after it: what an
   * answer changes (a subscription's position) must be in place when the next event arrives, and a promise would be late,
   * since several messages can be read in one turn.
   * @param {string} method
   * @param {object | undefined} params
   * @param {Done} done
   * @param {{urgent?: boolean}} [options] `urgent` needs no slot: for `connect` and `ping`
   */
  ask(method, params, done, { urgent = false } = {}) {
    if (this.#ended) return done(lost());
    const go = () => {
      const id = this.#nextId++;
      const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
      const tooLarge = this.#tooLarge(text);
      if (tooLarge) return done(tooLarge);
      if (!this.#hooks.send(text)) return done(lost());
      this.#waiting.set(id, { done, counted: !urgent });
      if (!urgent) this.#counted += 1;
    };
    if (urgent || this.free > 0) return go();
    if (this.#queue.length >= this.#maxQueue) return done(new GreenroomError("queue_full", `${this.#maxQueue} requests are waiting already`));
    this.#queue.push(() => (this.#ended ? done(lost()) : go()));
  }

  /**
   * `ask` as a promise, for answers whose place among the events does not matter.
   * @param {string} method
   * @param {object} [params]
   * @param {{urgent?: boolean}} [options]
   * @returns {Promise<any>}
   */
  request(method, params, options) {
    return new Promise((resolve, reject) => this.ask(method, params, (error, result) => (error ? reject(error) : resolve(result)), options));
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
    return this.#hooks.send(text);
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
    if (typeof message.method === "string") return this.#hooks.notification(message.method, message.params ?? {});
    const waiting = this.#waiting.get(message.id);
    if (!waiting) {
      if (message.error) this.#hooks.stray(GreenroomError.fromRpc(message.error));
      return;
    }
    this.#waiting.delete(message.id);
    if (waiting.counted) this.#counted -= 1;
    if (message.error) waiting.done(GreenroomError.fromRpc(message.error));
    else waiting.done(null, message.result);
    while (this.#queue.length > 0 && this.#counted < this.capacity) this.#queue.shift()?.();
    this.#hooks.free();
  }

  /** The connection is gone: what was not answered never will be. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { done } of waiting) done(lost());
    for (const go of this.#queue.splice(0)) go();
  }

  /** @param {string} text */
  #tooLarge(text) {
    // No character takes more than three bytes per UTF-16 unit, so most messages need no counting.
    if (text.length * 3 <= this.maxMessageBytes) return null;
    const bytes = new TextEncoder().encode(text).length;
    if (bytes <= this.maxMessageBytes) return null;
    return new GreenroomError("too_large", `the message has ${bytes} bytes, the server takes ${this.maxMessageBytes}`);
  }
}

function lost() {
  return new GreenroomError("disconnected", "the connection was lost before the answer came");
}
