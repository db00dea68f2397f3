// How long a token function that returned the old token is left alone, at least.
const LEAST_WAIT_MS = 5_000;

/**
 * When the token of a live connection is asked for again: once the server says that it is about to expire. A token function may
 * return the same token for a while, from a cache; then it is asked again a few times until the end. A token that lives so
 * shortly that the server warns of it at once is kept for a third of its life.
 */
export class Renewal {
  /** @type {any} */
  #timer = null;
  #notBefore = 0;
  #clock;
  #renew;

  /**
   * @param {import("./types.js").Clock} clock
   * @param {() => Promise<boolean>} renew shows a new token; false when there was none
   */
  constructor(clock, renew) {
    this.#clock = clock;
    this.#renew = renew;
  }

  /** A token was accepted. @param {import("./types.js").ConnectResult} result */
  accepted({ expires_at: expiresAt, now }) {
    this.stop();
    const lifeMs = expiresAt !== undefined && now !== undefined ? Math.max(0, expiresAt - now) : 0;
    this.#notBefore = this.#clock.monotonic() + lifeMs / 3;
  }

  /** The server warns. @param {number} closesInMs */
  expiring(closesInMs) {
    if (this.#timer !== null) return;
    const now = this.#clock.monotonic();
    this.#after(this.#notBefore - now, now + closesInMs);
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /**
   * @param {number} ms
   * @param {number} end when the token expires, by the monotonic clock
   */
  #after(ms, end) {
    const ask = async () => {
      if (await this.#renew()) return;
      // It was stopped, or the next connection began.
      if (this.#timer !== timer) return;
      this.#notBefore = this.#clock.monotonic() + LEAST_WAIT_MS;
      const left = end - this.#clock.monotonic();
      const wait = Math.max(LEAST_WAIT_MS, left / 3) * (1 - this.#clock.random() / 4);
      this.#timer = null;
      // Otherwise the server closes the connection, and the next one asks for a token.
      if (wait < left) this.#after(wait, end);
    };
    /** @type {any} */
    let timer = {};
    this.#timer = timer;
    if (ms <= 0) return void ask();
    this.#timer = timer = this.#clock.setTimeout(ask, ms);
  }
}
