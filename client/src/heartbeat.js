const FIRST_PING_MS = 1_000;

/**
 * Measures the round trip and notices a connection that died without saying so. A connection counts as dead when a ping
 * went unanswered for a whole interval in which nothing else was heard either: twice the interval after the last sign of
 * life. Going by the ping, not by the clock alone, keeps a background tab whose timers are throttled from false alarms.
 */
export class Heartbeat {
  #clock;
  #rpc;
  #hooks;
  #intervalMs;
  /** @type {any} */
  #timer = null;
  #heardAt = 0;
  /** @type {number | null} when the unanswered ping was sent */
  #askedAt = null;

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
    // The first moments belong to what the connection brought; a ping among them would measure the app's own work.
    this.#wait(Math.min(FIRST_PING_MS, intervalMs));
  }

  /** Something arrived. */
  heard() {
    this.#heardAt = this.#clock.now();
  }

  /** Asks for a sign of life within `withinMs`, for when the network or the machine may have slept. */
  probe(withinMs = 5_000) {
    this.ping();
    this.#wait(Math.min(withinMs, this.#intervalMs));
  }

  /** Measures now, unless a measurement is under way. */
  ping() {
    if (this.#askedAt !== null) return;
    const askedAt = this.#clock.now();
    this.#askedAt = askedAt;
    this.#rpc.ask(
      "ping",
      undefined,
      (error) => {
        this.#askedAt = null;
        if (!error) this.#hooks.rtt(this.#clock.now() - askedAt);
      },
      { urgent: true },
    );
  }

  stop() {
    this.#clock.clearTimeout(this.#timer);
  }

  /** @param {number} ms */
  #wait(ms) {
    this.stop();
    this.#timer = this.#clock.setTimeout(() => this.#tick(), ms);
  }

  #tick() {
    if (this.#askedAt !== null && this.#heardAt <= this.#askedAt) return this.#hooks.dead();
    this.ping();
    this.#wait(this.#intervalMs);
  }
}
