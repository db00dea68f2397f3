const FIRST_PING_MS = 1_000;
const PROBE_MS = 5_000;

/**
 * Measures the round trip and notices a connection that died without saying so. A ping that is not answered within an
 * interval is repeated if anything else was heard meanwhile: the server may be busy, or only one direction may be cut. The
 * connection counts as dead after the second, or after the first if nothing at all was heard. Going by the ping, not by the
 * clock alone, keeps a background tab whose timers are throttled from false alarms.
 */
export class Heartbeat {
  #clock;
  #rpc;
  #hooks;
  #intervalMs;
  /** @type {any} */
  #timer = null;
  /** Something arrived since the last ping was sent. */
  #heard = true;
  /** Pings that were sent since the last answer to one. */
  #unanswered = 0;
  #probing = false;

  /**
   * @param {import("./types.js").Clock} clock
   * @param {import("./rpc.js").Rpc} rpc
   * @param {number} intervalMs
   * @param {{rtt: (ms: number) => void, dead: () => void}} hooks
   */
  constructor(clock, rpc, intervalMs, hooks) {
    this.#clock = clock;
    this.#rpc = rpc;
    this.#intervalMs = intervalMs;
    this.#hooks = hooks;
    // The first moments belong to what the connection brought; a ping among them would measure the
    // app's own work.
    this.#wait(Math.min(FIRST_PING_MS, intervalMs));
  }

  /** Something arrived. */
  heard() {
    this.#heard = true;
  }

  /**
   * Asks for a sign of life soon, for when the network or the machine may have slept. Calling it again does not put off the
   * verdict on a ping that is under way.
   */
  probe() {
    if (this.#probing) return;
    this.#probing = true;
    // What was asked before is too old to tell anything.
    this.#unanswered = 0;
    this.#ask();
    this.#wait(Math.min(PROBE_MS, this.#intervalMs));
  }

  /** Measures now, unless a measurement is under way. */
  ping() {
    if (this.#unanswered === 0) this.#ask();
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
  }

  #ask() {
    const askedAt = this.#clock.monotonic();
    this.#unanswered += 1;
    this.#heard = false;
    this.#rpc.ask(
      "ping",
      undefined,
      (error) => {
        this.#unanswered = 0;
        this.#probing = false;
        if (!error) this.#hooks.rtt(this.#clock.monotonic() - askedAt);
      },
      { urgent: true },
    );
  }

  /** @param {number} ms */
  #wait(ms) {
    this.stop();
    this.#timer = this.#clock.setTimeout(() => this.#tick(), ms);
  }

  #tick() {
    if (this.#unanswered > 1 || (this.#unanswered === 1 && !this.#heard)) return this.#hooks.dead();
    this.#ask();
    this.#wait(this.#probing ? Math.min(PROBE_MS, this.#intervalMs) : this.#intervalMs);
  }
}
