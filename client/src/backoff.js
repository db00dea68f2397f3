/**
 * Full jitter: the wait before attempt k is anywhere between nothing and `base * 2^k`, at most `cap`. Clients that lost
 * the same server at the same moment so come back spread out, instead of as one wave after another.
 */
export class Backoff {
  #attempt = 0;
  #baseMs;
  #capMs;
  #random;

  /**
   * @param {{baseMs?: number, capMs?: number}} options
   * @param {() => number} random
   */
  constructor({ baseMs = 500, capMs = 30_000 }, random) {
    this.#baseMs = baseMs;
    this.#capMs = capMs;
    this.#random = random;
  }

  /** The next wait in milliseconds; each call reaches further. */
  next() {
    const reach = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return Math.round(this.#random() * reach);
  }

  /** Call it when things went well for a while. */
  reset() {
    this.#attempt = 0;
  }
}
