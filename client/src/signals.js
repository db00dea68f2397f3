import { GreenroomError } from "./errors.js";
import { jsonBody } from "./body.js";

// Signals are dropped rather than added to what a slow network has not taken yet.
const MAX_BACKLOG_BYTES = 262_144;
// Signals wait in number of keys; a signal without a key never waits.
const MAX_KEYS = 64;
// They leave this share of the burst to what must not be lost.
const RESERVE = 0.5;

/**
 * Signals go out as fast as the server's rates allow. What is faster waits, the latest of each key, and is sent when it may be;
 * what has no key, or finds too many keys waiting, is dropped.
 */
export class Signals {
  /** @type {Map<string, object>} */
  #waiting = new Map();
  /** @type {any} */
  #timer = null;
  #connection;
  #clock;

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {import("./types.js").Clock} clock
   */
  constructor(connection, clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /**
   * @param {string} entity
   * @param {string} type
   * @param {any} body
   * @param {string | undefined} key
   * @returns {boolean} false when it was dropped
   */
  send(entity, type, body, key) {
    const copy = jsonBody(body);
    if (copy instanceof GreenroomError) throw copy;
    const { rpc, pace, buffered } = this.#connection;
    if (!rpc || buffered > MAX_BACKLOG_BYTES) return false;
    const params = { entity, type, body: copy, key };
    const name = JSON.stringify([entity, type, key]);
    const waits = this.#waiting.has(name);
    // A newer one does not overtake an older one of another key.
    if (!waits && this.#waiting.size === 0 && pace.wait(RESERVE) === 0) return rpc.notify("signal", params);
    if (key === undefined || (!waits && this.#waiting.size >= MAX_KEYS)) return false;
    this.#waiting.set(name, params);
    this.#later();
    return true;
  }

  /** The connection is gone, and what was to be said with it. */
  clear() {
    this.#waiting.clear();
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #later() {
    if (this.#timer !== null) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      this.#flush();
    }, this.#connection.pace.wait(RESERVE));
  }

  #flush() {
    for (const [name, params] of this.#waiting) {
      if (this.#connection.pace.wait(RESERVE) > 0) return this.#later();
      this.#waiting.delete(name);
      this.#connection.rpc?.notify("signal", params);
    }
  }
}
