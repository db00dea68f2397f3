import { Backoff } from "./backoff.js";
import { GreenroomError, isConnectionLimit } from "./errors.js";
import { explain } from "./explain.js";
import { Heartbeat } from "./heartbeat.js";
import { Pace } from "./pace.js";
import { Renewal } from "./renewal.js";
import { Rpc } from "./rpc.js";
import { Socket } from "./socket.js";
import { Tokens } from "./tokens.js";

// A connection that lived this long was a good one: the next loss starts the backoff anew.
const STABLE_MS = 10_000;
// The server closed us for asking too much; coming straight back would be more of the same.
const ABUSE_WAIT_MS = 5_000;
// How often it is asked, at most, why no connection can be opened.
const EXPLAIN_EVERY_MS = 30_000;
const EXPLAIN_WITHIN_MS = 5_000;

const AUTH_CODES = new Set(["token_expired", "unauthorized"]);
// Why a connection that did not end by itself ends: with the code of `CLOSE_DONE` the server ends
// the session at once, with any other it keeps the session for the next connection to take over.
const CLOSE_DONE = 1000;
const CLOSE_RECONNECTING = 4900;
// Closed by the server for a message that is too long. Before the answer to `connect` its limit is
// not known.
const CLOSE_TOO_LONG = 1009;
const CLOSE_ABUSE = 4008;

/** The server's close codes that mean more than a lost connection. @type {Record<number, import("./errors.js").ErrorCode>} */
const CLOSE_REASONS = {
  1001: "shutting_down",
  4002: "token_expired",
  4003: "unauthorized",
  4008: "rate_limited",
  4009: "slow_consumer",
  4011: "replaced",
};

const FATAL_CODES = new Set(["invalid_params", "invalid_request", "method_not_found", "forbidden", "too_large"]);

/**
 * @typedef {object} Hooks what the connection asks of the client
 * @property {() => Promise<void>} ready resolves once `params` can be asked for
 * @property {(token: string | undefined, rpc: Rpc, carries: "all" | "subscriptions" | "nothing") => {presence?: object[], [name: string]: unknown}} params the
 *   params of `connect`, and what they may carry besides who we are: all, no presence for an older server, or nothing that makes it long
 * @property {(result: import("./types.js").ConnectResult) => void} hello who we are, and until when
 * @property {(result: import("./types.js").ConnectResult, rpc: Rpc) => void} up
 * @property {() => void} down no answers will come from the last `rpc`
 * @property {() => void} drain the server is leaving: start nothing new
 * @property {() => void} free another request may be sent
 * @property {(method: string, params: any) => void} notification
 * @property {(change: import("./types.js").StateChange) => void} state
 * @property {(ms: number) => void} rtt
 * @property {(direction: "in" | "out", data: string) => void} message
 * @property {(error: GreenroomError) => void} error
 */

/**
 * Keeps one connection alive: opens it, says `connect`, refreshes the token, notices its death, waits and opens the next.
 * It knows nothing of subscriptions or ops; it tells its owner when there is a line and when there is none.
 */
export class Connection {
  /** @type {import("./types.js").State} */
  state = "waiting";
  /** @type {number | null} */
  nextAttemptAt = null;
  /** @type {GreenroomError | null} why the last connection ended */
  lastError = null;
  /** @type {Rpc | null} set while connected */
  rpc = null;
  /** Attempts since the last connection that came to nothing: the server may have been started anew. */
  failures = 0;

  #options;
  #hooks;
  #clock;
  #backoff;
  /** @type {Socket | null} */
  #socket = null;
  /** @type {Rpc | null} of the socket at hand, also before `connect` is answered */
  #line = null;
  /** @type {Heartbeat | null} */
  #heartbeat = null;
  /** @type {any} the next attempt, or the limit of the present one */
  #timer = null;
  #attempt = 0;
  #upAt = 0;
  #pace;
  #tokens;
  #renewal;
  /** @type {Promise<boolean> | null} */
  #renewing = null;
  /** @type {"all" | "subscriptions" | "nothing"} */
  #carries = "all";
  #explainedAt = -Infinity;
  /** There was a connection, so the address and the origin are right. */
  #met = false;
  /** Ended when nobody wants to know any more why there was no connection. */
  #explaining = new AbortController();
  /** @type {number | undefined} from `goodbye` */
  #reconnectAfterMs;

  /**
   * @param {{url: string, token: import("./types.js").ConnectOptions["token"], WebSocket: import("./types.js").WebSocketClass,
   *   backoff: {baseMs?: number, capMs?: number}, clock: import("./types.js").Clock, connectTimeoutMs: number, maxQueue: number}} options
   * @param {Hooks} hooks
   */
  constructor(options, hooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#clock = options.clock;
    this.#backoff = new Backoff(options.backoff, options.clock.random);
    this.#pace = new Pace(options.clock);
    this.#tokens = new Tokens(options.token);
    this.#renewal = new Renewal(options.clock, () => this.#renew().catch((error) => (this.#hooks.error(error), false)));
  }

  /** Opens a connection now, unless there is one or this is closed for good. */
  open() {
    if (this.state !== "waiting") return;
    this.#clock.clearTimeout(this.#timer);
    const attempt = ++this.#attempt;
    this.#enter("connecting", null);
    this.#timer = this.#clock.setTimeout(
      () => this.#lost(new GreenroomError("timeout", "the server did not answer in time")),
      this.#options.connectTimeoutMs,
    );
    const prepared = this.#hooks.ready().then(() => this.#tokens.next());
    prepared.then(
      (token) => {
        if (attempt === this.#attempt && this.state === "connecting") this.#dial(token);
      },
      (error) => {
        if (attempt === this.#attempt && this.state === "connecting") this.#tokenFailed(error);
      },
    );
  }

  /** Asks the server for a sign of life, or tries again at once: for when the network or the page came back. */
  wake() {
    if (this.state === "connected") this.#heartbeat?.probe();
    else this.open();
  }

  /** The network is gone, which the socket would notice much later. */
  offline() {
    if (this.state === "connected" || this.state === "connecting") this.#lost(new GreenroomError("disconnected", "the network is offline"));
  }

  /**
   * Asks for a token and shows it to the server, on a live connection.
   * @returns {Promise<void>}
   */
  async refresh() {
    if (!this.#tokens.renewable) throw new GreenroomError("invalid_argument", "only a `token` that is a function can be refreshed");
    await this.#renew();
  }

  /** The pace at which signals may be sent. */
  get pace() {
    return this.#pace;
  }

  /** Measures the round trip now. */
  ping() {
    this.#heartbeat?.ping();
  }

  /**
   * Ends it for good.
   * @param {GreenroomError} error what those who still wait are told
   */
  close(error) {
    if (this.state === "closed") return;
    this.#teardown(CLOSE_DONE);
    this.#explaining.abort();
    this.#attempt += 1;
    this.#enter("closed", error);
  }

  /**
   * Gives the present connection up and reconnects.
   * @param {GreenroomError} error
   */
  restart(error) {
    if (this.state === "connected") this.#lost(error);
  }

  /** @param {string | undefined} token */
  #dial(token) {
    const rpc = new Rpc(
      {
        send: (text) => {
          const sent = this.#socket?.send(text) ?? false;
          if (sent) this.#hooks.message("out", text);
          return sent;
        },
        notification: (method, params) => (method === "goodbye" ? this.#goodbye(params) : this.#hooks.notification(method, params)),
        stray: (error) => this.#hooks.error(error),
        free: () => this.#hooks.free(),
      },
      this.#clock,
      this.#pace,
      this.#options.maxQueue,
    );
    this.#line = rpc;
    this.#tokens.show(token);
    try {
      this.#socket = new Socket(this.#options.url, this.#options.WebSocket, {
        open: () => this.#connect(token, rpc),
        text: (data) => {
          this.#heartbeat?.heard();
          this.#hooks.message("in", data);
          rpc.receive(data);
        },
        lost: (code, reason, failure) => this.#closed(code, reason, failure),
      });
    } catch (cause) {
      // The constructor throws for an address it can never open, such as `ws:` from an `https:`
      // page.
      this.close(new GreenroomError("invalid_argument", `cannot open \`${this.#options.url}\``, { cause }));
    }
  }

  /**
   * @param {string | undefined} token
   * @param {Rpc} rpc
   */
  #connect(token, rpc) {
    const params = this.#hooks.params(token, rpc, this.#carries);
    const answered = (/** @type {GreenroomError | null} */ error, /** @type {any} */ result) => {
      if (rpc !== this.#line) return;
      if (!error) return this.#answered(result, rpc);
      // A server that does not know what `presence` is.
      if (error.code !== "invalid_params" || !params.presence) return this.#lost(error);
      this.#carries = "subscriptions";
      this.#wait(error, 0);
    };
    rpc.ask("connect", params, answered, { urgent: true });
  }

  /**
   * @param {import("./types.js").ConnectResult} result
   * @param {Rpc} rpc
   */
  #answered(result, rpc) {
    this.#clock.clearTimeout(this.#timer);
    const { limits } = result;
    rpc.capacity = Math.max(1, limits.max_in_flight - 2);
    rpc.maxMessageBytes = limits.max_message_bytes;
    rpc.maxBodyBytes = limits.max_body_bytes ?? Infinity;
    rpc.tags = limits.rates !== undefined;
    this.#pace.set(limits.rates);
    this.rpc = rpc;
    this.failures = 0;
    this.#met = true;
    this.#tokens.accepted();
    this.#renewal.accepted(result);
    if (this.#carries === "nothing") this.#carries = "all";
    this.#explaining.abort();
    this.#upAt = this.#clock.monotonic();
    this.#heartbeat = new Heartbeat(this.#clock, rpc, result.limits.ping_interval_ms, {
      rtt: this.#hooks.rtt,
      dead: () => this.#lost(new GreenroomError("disconnected", "nothing was heard from the server for two ping intervals")),
    });
    this.#hooks.hello(result);
    this.#enter("connected", null);
    // A listener of the state may have closed us.
    if (this.rpc === rpc) this.#hooks.up(result, rpc);
  }

  /** @param {{reason: string, closes_in_ms: number, reconnect_after_ms?: number}} params */
  #goodbye(params) {
    if (params.reason === "token_expiring") return this.#tokens.renewable ? this.#renewal.expiring(params.closes_in_ms) : undefined;
    this.#reconnectAfterMs = params.reconnect_after_ms;
    this.#hooks.drain();
    this.#clock.clearTimeout(this.#timer);
    const gone = new GreenroomError("shutting_down", "the server is shutting down", { retryAfterMs: params.reconnect_after_ms });
    this.#timer = this.#clock.setTimeout(() => this.#lost(gone), params.closes_in_ms + 1_000);
  }

  /**
   * Shows another token on the live connection, which only one call at a time does.
   * @returns {Promise<boolean>} false when the token function returned the one that the server has
   */
  #renew() {
    this.#renewing ??= this.#showAnother().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #showAnother() {
    const rpc = this.rpc;
    const token = await this.#tokens.next().catch((error) => {
      throw toError(error);
    });
    // Another connection shows what it is given.
    if (!rpc || rpc !== this.rpc) return true;
    if (this.#tokens.isShown(token)) return false;
    try {
      const result = await rpc.request("connect", { token }, { urgent: true });
      if (rpc !== this.rpc) return true;
      this.#tokens.show(token);
      this.#renewal.accepted(result);
      this.#hooks.hello(result);
    } catch (error) {
      if (rpc !== this.rpc) return true;
      // The renewal asks again later.
      if (isConnectionLimit(error)) return false;
      throw error;
    }
    return true;
  }

  /** @param {unknown} cause */
  #tokenFailed(cause) {
    const error = toError(cause);
    // The app may say that there is no use in asking again; anything else may be a network that is
    // down.
    if (error === cause) return this.close(error);
    this.#hooks.error(error);
    this.#wait(error, this.#backoff.next());
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {string | null} failure
   */
  #closed(code, reason, failure) {
    const early = this.rpc === null;
    if (code === CLOSE_ABUSE) this.#pace.refused(0);
    if (code === CLOSE_TOO_LONG && early) {
      const error = new GreenroomError("too_large", "the server closed the connection because `connect` was too long");
      if (this.#carries === "nothing") return this.close(error);
      this.#carries = "nothing";
      return this.#wait(error, 0);
    }
    const text = `the connection was closed (${code}${reason ? ` \`${reason}\`` : ""})`;
    this.#lost(new GreenroomError(CLOSE_REASONS[code] ?? "disconnected", text, { reason: reason || undefined }), code);
    if (failure !== null) void this.#explain(failure);
  }

  /** @param {string} failure */
  async #explain(failure) {
    const now = this.#clock.monotonic();
    const { lastError } = this;
    if (this.state === "closed" || now - this.#explainedAt < EXPLAIN_EVERY_MS) return;
    // In a page there is nothing more to learn then, and the browser's console would show each
    // attempt.
    if (this.#met && typeof location === "object") return;
    this.#explainedAt = now;
    this.#explaining = new AbortController();
    const { signal } = this.#explaining;
    const timer = this.#clock.setTimeout(() => this.#explaining.abort(), EXPLAIN_WITHIN_MS);
    const error = await explain(this.#options.url, failure, signal);
    this.#clock.clearTimeout(timer);
    if (!error || signal.aborted) return;
    if (this.lastError === lastError) this.lastError = error;
    this.#hooks.error(error);
  }

  /**
   * The connection at hand is over; decides whether and when there is another.
   * @param {GreenroomError} error
   * @param {number} [closeCode]
   */
  #lost(error, closeCode) {
    if (this.state === "closed") return;
    if (this.rpc === null) this.failures += 1;
    const stable = this.rpc !== null && this.#clock.monotonic() - this.#upAt >= STABLE_MS;
    if (stable) this.#backoff.reset();
    if (FATAL_CODES.has(error.code)) return this.close(error);
    if (AUTH_CODES.has(error.code)) {
      if (this.#tokens.refused(error.code)) return this.close(error);
      return this.#wait(error, stable ? 0 : this.#backoff.next());
    }
    const told = this.#reconnectAfterMs ?? error.retryAfterMs;
    const atLeast = closeCode === CLOSE_ABUSE ? ABUSE_WAIT_MS : 0;
    // What the server asks for is the least; the jitter on top keeps those whom it told the same
    // from coming as one.
    this.#wait(error, (told ?? atLeast) + this.#backoff.next());
  }

  /**
   * @param {GreenroomError} error
   * @param {number} ms
   */
  #wait(error, ms) {
    this.#teardown(CLOSE_RECONNECTING);
    this.nextAttemptAt = this.#clock.now() + ms;
    this.#enter("waiting", error);
    if (this.state === "waiting") this.#timer = this.#clock.setTimeout(() => this.open(), ms);
  }

  /** @param {number} code what the server is told, if it can still be told */
  #teardown(code) {
    this.#clock.clearTimeout(this.#timer);
    this.#renewal.stop();
    this.#heartbeat?.stop();
    this.#socket?.drop(code, code === CLOSE_RECONNECTING ? "reconnecting" : "");
    const line = this.#line;
    this.#socket = this.#heartbeat = this.#line = this.rpc = null;
    this.#reconnectAfterMs = undefined;
    line?.end();
    this.#hooks.down();
  }

  /**
   * @param {import("./types.js").State} state
   * @param {GreenroomError | null} error
   */
  #enter(state, error) {
    const previous = this.state;
    this.state = state;
    if (state !== "waiting") this.nextAttemptAt = null;
    if (error || state === "connected") this.lastError = error;
    this.#hooks.state({ state, previous, nextAttemptAt: this.nextAttemptAt, error });
  }

  /** Bytes on their way that the network has not taken. */
  get buffered() {
    return this.#socket?.buffered ?? 0;
  }
}

/**
 * What a token function threw. Only what the app itself calls `unauthorized` is taken at its word.
 * @param {unknown} error
 */
function toError(error) {
  return error instanceof GreenroomError && error.code === "unauthorized" ? error : new GreenroomError("unauthorized", "the token function failed", { cause: error });
}
