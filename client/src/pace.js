// Part of the rate stays free for what the server counts besides requests, such as pings and pongs.
const RATE_SHARE = 0.9;
const BURST_SHARE = 0.75;
// What is assumed once a server that does not report its rates has refused something.
const ASSUMED = { per_second: 50, burst: 10 };
// After a refusal the rate is halved, down to a sixteenth, and grows back within some seconds.
const LEAST_FACTOR = 1 / 16;
const RECOVERY_PER_SECOND = 0.05;
const LEAST_PAUSE_MS = 50;
const MOST_JITTER_MS = 1_000;

/** @typedef {import("./types.js").Rate} Rate */
/** @typedef {{rate: Rate, tokens: number}} Bucket */

/**
 * When the next request may be sent: not while the server wants us to wait, and not faster than its rates. The rates that a
 * server reports are those of one connection and of one user, who may have several connections; so a refusal slows this one
 * down for a while.
 */
export class Pace {
  /** @type {Bucket | null} */
  #requests = null;
  /** @type {Bucket | null} */
  #bytes = null;
  #factor = 1;
  #pausedUntil = 0;
  #filledAt;
  #clock;

  /** @param {import("./types.js").Clock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.#filledAt = clock.monotonic();
  }

  /** @param {import("./types.js").Rates | undefined} rates as `connect` reports them */
  set(rates) {
    if (!rates) return;
    const all = [rates.requests, rates.user_requests].filter((rate) => rate !== undefined);
    if (all.length > 0) this.#requests = bucket({ per_second: least(all, "per_second"), burst: least(all, "burst") });
    if (rates.bytes) this.#bytes = bucket(rates.bytes);
    this.#filledAt = this.#clock.monotonic();
  }

  /**
   * The server refused something for a limit of the connection.
   * @param {number | undefined} retryAfterMs
   */
  refused(retryAfterMs) {
    const now = this.#clock.monotonic();
    this.#fill();
    // What was sent before the first refusal arrived is refused for the same reason.
    if (now >= this.#pausedUntil) {
      this.#requests ??= bucket(ASSUMED);
      this.#factor = Math.max(this.#factor / 2, LEAST_FACTOR);
    }
    for (const each of [this.#requests, this.#bytes]) if (each) each.tokens = Math.min(each.tokens, 1);
    const ms = Math.max(retryAfterMs ?? 0, LEAST_PAUSE_MS);
    this.#pausedUntil = Math.max(this.#pausedUntil, now + ms + this.#clock.random() * Math.min(ms, MOST_JITTER_MS));
  }

  /**
   * How long to wait before the next request, in ms.
   * @param {number} [reserve] the share of the burst that is left to others
   */
  wait(reserve = 0) {
    this.#fill();
    const paused = this.#pausedUntil - this.#clock.monotonic();
    return Math.max(0, paused, this.#missing(this.#requests, 1, reserve), this.#missing(this.#bytes, 1, reserve));
  }

  /** One request is sent. @param {number} bytes */
  take(bytes) {
    this.#fill();
    if (this.#requests) this.#requests.tokens -= 1;
    // A large message may be more than what is there: what follows waits the longer.
    if (this.#bytes) this.#bytes.tokens -= bytes;
  }

  /** Whether `take` needs to know of bytes. */
  get countsBytes() {
    return this.#bytes !== null;
  }

  /**
   * @param {Bucket | null} bucket
   * @param {number} need
   * @param {number} reserve
   */
  #missing(bucket, need, reserve) {
    if (!bucket) return 0;
    const missing = Math.max(need, reserve * bucket.rate.burst) - bucket.tokens;
    return missing <= 0 ? 0 : Math.ceil((missing * 1_000) / (bucket.rate.per_second * this.#factor));
  }

  #fill() {
    const now = this.#clock.monotonic();
    const seconds = (now - this.#filledAt) / 1_000;
    this.#filledAt = now;
    for (const each of [this.#requests, this.#bytes]) {
      if (each) each.tokens = Math.min(each.rate.burst, each.tokens + seconds * each.rate.per_second * this.#factor);
    }
    if (now >= this.#pausedUntil) this.#factor = Math.min(1, this.#factor + seconds * RECOVERY_PER_SECOND);
  }
}

/**
 * @param {Rate} rate
 * @returns {Bucket}
 */
function bucket({ per_second, burst }) {
  const rate = { per_second: Math.max(per_second * RATE_SHARE, 0.1), burst: Math.max(burst * BURST_SHARE, 1) };
  return { rate, tokens: rate.burst };
}

/**
 * @param {Rate[]} rates
 * @param {"per_second" | "burst"} name
 */
function least(rates, name) {
  return Math.min(...rates.map((rate) => rate[name]));
}
