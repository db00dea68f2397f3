/**
 * The server's clock, as this client knows it: what it said at `connect`, and the time that has passed since, by a clock that
 * nobody sets. Ops say by it when they were first sent, so it must never be ahead of the truth.
 */
export class ServerTime {
  /** @type {number | null} the server's time minus the monotonic clock's */
  #ahead = null;
  #clock;

  /** @param {import("./types.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {number | undefined} now what the server has just said */
  set(now) {
    this.#ahead = now === undefined ? null : now - this.#clock.monotonic();
  }

  /** Null before the first connection. @returns {number | null} */
  get now() {
    return this.#ahead === null ? null : Math.round(this.#clock.monotonic() + this.#ahead);
  }
}
