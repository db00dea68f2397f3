import { GreenroomError, isRetryable } from "./errors.js";
import { promised } from "./promised.js";

// On top of what the server asks for, so that clients which it told the same do not come back as
// one.
const JITTER = 0.25;

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {object} params
 * @property {boolean} patient waits as long as it takes and comes again after "later"
 * @property {boolean} again comes again after "later" until its time is over
 * @property {any} timer until its time is over
 * @property {any} retry until it comes again
 * @property {GreenroomError | null} refusal the last "later"
 * @property {(result: any) => void} resolve
 * @property {(error: GreenroomError) => void} reject
 */

/**
 * Requests that change nothing or may be made twice: reads, history, presence. They wait for a connection and are made
 * again on the next one when theirs is lost, until `timeoutMs` is over. At most `max` are open; more fail with `queue_full`.
 */
export class Calls {
  /** @type {Set<Call>} */
  #open = new Set();
  /** @type {import("./rpc.js").Rpc | null} */
  #rpc = null;
  /** @type {GreenroomError | null} */
  #closed = null;
  #clock;
  #max;
  #timeoutMs;

  /**
   * @param {import("./types.js").Clock} clock
   * @param {number} max
   * @param {number} timeoutMs
   */
  constructor(clock, max, timeoutMs) {
    this.#clock = clock;
    this.#max = max;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @param {string} method
   * @param {object} params
   * @param {{patient?: boolean, again?: boolean}} [options]
   * @returns {Promise<any>}
   */
  make(method, params, { patient = false, again = patient } = {}) {
    return promised((resolve, reject) => {
      if (this.#closed) return reject(this.#closed);
      if (this.#open.size >= this.#max) return reject(new GreenroomError("queue_full", `${this.#max} calls are open already`));
      /** @type {Call} */
      const call = { method, params, patient, again, timer: null, retry: null, refusal: null, resolve, reject };
      this.#open.add(call);
      if (!patient) {
        const late = () => this.#settle(call, call.refusal ?? new GreenroomError("timeout", `no answer to \`${method}\` within ${this.#timeoutMs} ms`));
        call.timer = this.#clock.setTimeout(late, this.#timeoutMs);
      }
      this.#send(call);
    });
  }

  /** @param {import("./rpc.js").Rpc} rpc */
  attach(rpc) {
    this.#rpc = rpc;
    for (const call of [...this.#open]) this.#send(call);
  }

  detach() {
    this.#rpc = null;
  }

  /** @param {GreenroomError} error */
  close(error) {
    this.#closed = error;
    for (const call of [...this.#open]) this.#settle(call, error);
  }

  /** @param {Call} call */
  #send(call) {
    this.#rpc?.ask(call.method, call.params, (error, result) => {
      if (!this.#open.has(call) || error?.code === "disconnected") return;
      if (error && call.again && isRetryable(error)) {
        const rpc = this.#rpc;
        const again = () => rpc === this.#rpc && this.#send(call);
        call.refusal = error;
        const ms = error.retryAfterMs ?? 1_000;
        call.retry = this.#clock.setTimeout(again, ms + this.#clock.random() * JITTER * ms);
        return;
      }
      this.#settle(call, error, result);
    });
  }

  /**
   * @param {Call} call
   * @param {GreenroomError | null} error
   * @param {any} [result]
   */
  #settle(call, error, result) {
    if (!this.#open.delete(call)) return;
    this.#clock.clearTimeout(call.timer);
    this.#clock.clearTimeout(call.retry);
    if (error) call.reject(error);
    else call.resolve(result);
  }
}
