import { Backoff } from "./backoff.js";
import { GreenroomError } from "./errors.js";
import { Heartbeat } from "./heartbeat.js";
import { Rpc } from "./rpc.js";
import { Socket } from "./socket.js";

// A connection that lived this long was a good one: the next loss starts the backoff anew.
const STABLE_MS = 10_000;
// The server closed us for asking too much; coming straight back would be more of the same.
const ABUSE_WAIT_MS = 5_000;
// Refused twice in a row with a fresh token each time: another one will not help.
const MAX_REFUSALS = 2;

const AUTH_CODES = new Set(["token_expired", "unauthorized"]);
// Why a connection that did not end by itself ends: with the code of `CLOSE_DONE` the server ends the session at once, with any
// other it keeps the session for the next connection to take over.
const CLOSE_DONE = 1000;
const CLOSE_RECONNECTING = 4900;

/** The server's close codes that mean more than a lost connection. @type {Record<number, string>} */
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
 * @property {(token: string | undefined, rpc: Rpc) => object} params the params of `connect`
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
  #refusals = 0;
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
    const prepared = this.#hooks.ready().then(() => this.#token());
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
      this.#options.maxQueue,
    );
    this.#line = rpc;
    try {
      this.#socket = new Socket(this.#options.url, this.#options.WebSocket, {
        open: () => rpc.ask("connect", this.#hooks.params(token, rpc), (error, result) => this.#answered(error, result, rpc), { urgent: true }),
        text: (data) => {
          this.#heartbeat?.heard();
          this.#hooks.message("in", data);
          rpc.receive(data);
        },
        lost: (code, reason) => this.#closed(code, reason),
      });
    } catch (cause) {
      // The constructor throws for an address it can never open, such as `ws:` from an `https:` page.
      this.close(new GreenroomError("invalid_argument", `cannot open \`${this.#options.url}\``, { cause }));
    }
  }

  /**
   * @param {GreenroomError | null} error
   * @param {import("./types.js").ConnectResult} result
   * @param {Rpc} rpc
   */
  #answered(error, result, rpc) {
    if (rpc !== this.#line) return;
    if (error) return this.#lost(error);
    this.#clock.clearTimeout(this.#timer);
    rpc.capacity = Math.max(1, result.limits.max_in_flight - 2);
    rpc.maxMessageBytes = result.limits.max_message_bytes;
    this.rpc = rpc;
    this.#refusals = 0;
    this.#upAt = this.#clock.now();
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
    if (params.reason === "token_expiring") return void this.#refresh();
    this.#reconnectAfterMs = params.reconnect_after_ms;
    this.#hooks.drain();
    this.#clock.clearTimeout(this.#timer);
    const gone = new GreenroomError("shutting_down", "the server is shutting down", { retryAfterMs: params.reconnect_after_ms });
    this.#timer = this.#clock.setTimeout(() => this.#lost(gone), params.closes_in_ms + 1_000);
  }

  /** Shows a fresh token on the live connection. Without one the server closes with 4002 when the old one is past. */
  async #refresh() {
    const rpc = this.rpc;
    if (!rpc || typeof this.#options.token !== "function") return;
    try {
      const token = await this.#token();
      const result = await rpc.request("connect", { token }, { urgent: true });
      if (rpc === this.rpc) this.#hooks.hello(result);
    } catch (error) {
      if (rpc === this.rpc) this.#hooks.error(toError(error));
    }
  }

  async #token() {
    const { token } = this.#options;
    return (typeof token === "function" ? await token() : token) ?? undefined;
  }

  /** @param {unknown} cause */
  #tokenFailed(cause) {
    // The app may say that there is no use in asking again; anything else may be a network that is down.
    if (cause instanceof GreenroomError && cause.code === "unauthorized") return this.close(cause);
    const error = new GreenroomError("unauthorized", "the token function failed", { cause });
    this.#hooks.error(error);
    this.#wait(error, this.#backoff.next());
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const text = `the connection was closed (${code}${reason ? ` \`${reason}\`` : ""})`;
    this.#lost(new GreenroomError(CLOSE_REASONS[code] ?? "disconnected", text, { reason: reason || undefined }), code);
  }

  /**
   * The connection at hand is over; decides whether and when there is another.
   * @param {GreenroomError} error
   * @param {number} [closeCode]
   */
  #lost(error, closeCode) {
    if (this.state === "closed") return;
    const stable = this.rpc !== null && this.#clock.now() - this.#upAt >= STABLE_MS;
    if (stable) this.#backoff.reset();
    if (FATAL_CODES.has(error.code)) return this.close(error);
    if (AUTH_CODES.has(error.code)) {
      this.#refusals += 1;
      if (typeof this.#options.token !== "function" || this.#refusals >= MAX_REFUSALS) return this.close(error);
      return this.#wait(error, stable ? 0 : this.#backoff.next());
    }
    const told = this.#reconnectAfterMs ?? error.retryAfterMs;
    const atLeast = closeCode === 4008 ? ABUSE_WAIT_MS : 0;
    // What the server asks for is the least; the jitter on top keeps those whom it told the same from coming as one.
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

/** @param {unknown} error */
function toError(error) {
  return error instanceof GreenroomError ? error : new GreenroomError("unauthorized", "the token function failed", { cause: error });
}
