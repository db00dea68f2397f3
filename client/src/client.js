import { Adoption } from "./adoption.js";
import { byteLength } from "./body.js";
import { followPage } from "./browser.js";
import { Calls } from "./calls.js";
import { systemClock } from "./clock.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { Entity } from "./entity.js";
import { GreenroomError } from "./errors.js";
import { IndexedDbStorage } from "./indexeddb.js";
import { Ops } from "./ops.js";
import { put, take } from "./persist.js";
import { Presences } from "./presence.js";
import { promised } from "./promised.js";
import { Signals } from "./signals.js";
import { socketUrl } from "./socket.js";
import { Subscriptions } from "./subscriptions.js";
import { watchAnswers } from "./watch.js";

/** The SDK's name and version, as the server's log shows them. */
export const VERSION = "greenroom-js/0.1.0";

// What `connect` takes besides what it carries: names and the envelope.
const CONNECT_RESERVE_BYTES = 2_048;

/**
 * @typedef {object} ClientEvents
 * @property {import("./types.js").StateChange} state
 * @property {number} rtt a round trip was measured, in milliseconds
 * @property {number} pending the number of unanswered ops changed, or one of them is kept now
 * @property {import("./types.js").RawMessage} message a raw message passed; tokens are blotted out
 * @property {GreenroomError} error something failed that no call of the app waits for
 */

/**
 * One connection to a server, kept alive until `close`. Made by `connect`.
 * @extends {Emitter<ClientEvents>}
 */
export class Client extends Emitter {
  /** @type {import("./types.js").ConnectResult | null} the latest answer to `connect` */
  hello = null;
  /** @type {number | null} the latest round trip in milliseconds */
  rtt = null;

  /** @type {string | undefined} */
  #client;
  /** @type {string | undefined} the session whose place the next connection shall take */
  #session;
  /** @type {import("./types.js").StorageLike | null} */
  #storage = null;
  /** @type {import("./indexeddb.js").Store | null} */
  #store = null;
  /** @type {Adoption | null} */
  #adoption = null;
  /** Who we are is known: what an earlier page left has been read. */
  #ready = Promise.resolve();
  #ended = Promise.resolve();
  #discards = false;
  #clock;
  #connection;
  #subscriptions;
  #ops;
  #calls;
  #presences;
  #signals;
  #unwatch;
  #unfollow;

  /** @param {import("./types.js").ConnectOptions} options */
  constructor(options) {
    super();
    const clock = (this.#clock = options.clock ?? systemClock);
    const maxPending = options.maxPending ?? 1_000;
    const answerTimeoutMs = options.answerTimeoutMs ?? 30_000;
    this.#subscriptions = new Subscriptions(clock, (tag) => this.#ops.saw(tag));
    const limits = { maxPending, pipeline: options.pipeline ?? 1, maxRetries: options.maxRetries ?? 10 };
    this.#ops = new Ops(limits, clock, () => this.#pendingChanged());
    this.#calls = new Calls(clock, maxPending, answerTimeoutMs);
    this.#presences = new Presences(
      (method, params, how) => this.#calls.make(method, params, how),
      (error) => this.#failed(error),
    );
    const connection = {
      url: socketUrl(options.url),
      token: options.token,
      WebSocket: socketClass(options.WebSocket),
      backoff: options.backoff ?? {},
      clock,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      maxQueue: 2 * maxPending,
    };
    this.#connection = new Connection(connection, {
      ready: () => this.#ready,
      params: (token, rpc, carries) => this.#params(token, rpc, carries),
      hello: (result) => {
        this.hello = result;
        this.#client = result.client;
        this.#ops.setClock(result.now);
        this.#session = result.session;
      },
      up: (result, rpc) => this.#up(result, rpc),
      down: () => this.#down(),
      drain: () => this.#ops.detach(),
      free: () => this.#ops.free(),
      notification: (method, params) => this.#notification(method, params),
      state: (change) => this.#stateChanged(change),
      rtt: (ms) => this.emit("rtt", (this.rtt = ms)),
      message: (direction, data) => this.#message(direction, data),
      error: (error) => this.#failed(error),
    });
    this.#signals = new Signals(this.#connection, clock);
    this.#client = options.client;
    if (options.firstN !== undefined) this.#ops.startAt(options.firstN);
    const { storage } = options;
    if (storage instanceof IndexedDbStorage) {
      if (options.client !== undefined) throw new GreenroomError("invalid_argument", "a `client` of your own and IndexedDB do not go together");
      this.#ready = this.#keepIn(storage, { connection, limits, version: VERSION, answerTimeoutMs });
    } else if (storage) this.#saveIn(/** @type {import("./types.js").StorageLike} */ (storage));
    this.#unwatch = watchAnswers(clock, answerTimeoutMs, this.#ops, this.#connection);
    this.#unfollow = followPage({
      wake: () => this.#connection.wake(),
      offline: () => this.#connection.offline(),
      save: () => this.#storage && put(this.#storage, this.#ops.save()),
      unsave: () => this.#storage && take(this.#storage),
    });
    this.#connection.open();
  }

  /** `connecting`, `connected`, `waiting` (for the next attempt) or `closed` (for good). */
  get state() {
    return this.#connection.state;
  }

  /** When the next attempt is due, while waiting. */
  get nextAttemptAt() {
    return this.#connection.nextAttemptAt;
  }

  /** Why the last connection was lost, or the client closed; null while connected. */
  get error() {
    return this.#connection.lastError;
  }

  /** Who the server says we are: the token's `sub`, or `anon-…`; null before the first connection. */
  get user() {
    return this.hello?.user ?? null;
  }

  /** The ops that have no answer yet, in the order in which each entity gets them. */
  get pending() {
    return [...this.#ops.pending, ...(this.#adoption?.pending ?? [])];
  }

  /**
   * @template {string} Id
   * @param {Id} id `kind:id`, e.g. `room:lobby`
   * @returns {Entity<Id>}
   */
  entity(id) {
    if (!/^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9_.~@:/+=-]{1,128}$/.test(id)) {
      throw new GreenroomError("invalid_argument", `\`${id}\` is not a valid entity id; it looks like \`room:lobby\``);
    }
    return new Entity(id, {
      ops: this.#ops,
      calls: this.#calls,
      presences: this.#presences,
      subscriptions: this.#subscriptions,
      pending: () => this.pending,
      signals: this.#signals,
      isOwn: (tag) => this.#ops.owns(tag),
      user: () => this.user,
      now: () => this.#clock.now(),
    });
  }

  /**
   * Resolves once connected; rejects when the client is closed, by the app or because the server will not have it.
   * @returns {Promise<void>}
   */
  connected() {
    return promised((resolve, reject) => {
      const settled = () => {
        if (this.state === "connected") resolve(undefined);
        else if (this.state === "closed") reject(this.error ?? closed());
        else return false;
        return true;
      };
      if (settled()) return;
      const off = this.on("state", () => settled() && off());
    });
  }

  /** Measures the round trip now, besides the regular times; the answer comes as the event `rtt`. */
  ping() {
    this.#connection.ping();
  }

  /** Does not wait for the next attempt's time. While connected, the server is asked for a sign of life, soon to be given up without. */
  reconnect() {
    this.#connection.wake();
  }

  /**
   * Asks the token function for a token now, and shows it to the server: after signing in again, or when rights have changed.
   * Without a connection the next one does that. Rejects when `token` is no function, when it throws, and when the server refuses.
   * @returns {Promise<void>}
   */
  refresh() {
    return promised((resolve, reject) => {
      if (this.state === "connected") return void this.#connection.refresh().then(resolve, reject);
      this.reconnect();
      this.connected().then(resolve, reject);
    });
  }

  /**
   * Ends the connection for good. What still waits for an answer is rejected with `closed`; an op among it may have happened, and
   * one that is kept in IndexedDB will, when another page finds it there.
   * @param {{discard?: boolean}} [options] `discard` takes client id and ops out of IndexedDB, as when somebody signs out
   * @returns {Promise<void>} resolves when the storage is left in order
   */
  close({ discard = false } = {}) {
    this.#discards = discard;
    this.#connection.close(closed());
    return this.#ended;
  }

  /** @param {import("./types.js").StorageLike} storage */
  #saveIn(storage) {
    this.#storage = storage;
    const saved = this.#client === undefined ? take(storage) : null;
    if (!saved) return;
    this.#client = saved.client;
    this.#ops.restore(saved, (error) => this.#failed(error));
  }

  /**
   * @param {IndexedDbStorage} storage
   * @param {ConstructorParameters<typeof Adoption>[1]} options
   */
  async #keepIn(storage, options) {
    const failed = (/** @type {GreenroomError} */ error) => this.#failed(error);
    try {
      // A query may hold what changes from one connection to the next.
      this.#store = await storage.open(options.connection.url.replace(/\?.*/, ""), this.#clock, failed);
    } catch (error) {
      if (this.state === "closed") return;
      if (storage.session) this.#saveIn(storage.session);
      return failed(/** @type {GreenroomError} */ (error));
    }
    if (this.state === "closed") return this.#store.close(this.#discards);
    this.#client = this.#store.own.client;
    this.#ops.keepIn(this.#store.own, failed);
    this.#adoption = new Adoption(this.#store, options, {
      connected: () => this.state === "connected",
      changed: () => this.#pendingChanged(),
      failed,
    });
  }

  /**
   * @param {string | undefined} token
   * @param {import("./rpc.js").Rpc} rpc
   * @param {"all" | "subscriptions" | "nothing"} carries
   */
  #params(token, rpc, carries) {
    const max = this.hello?.limits.max_message_bytes ?? rpc.maxMessageBytes;
    rpc.maxMessageBytes = max;
    const room = carries === "nothing" ? 0 : max - CONNECT_RESERVE_BYTES - (token?.length ?? 0);
    const subscriptions = this.#subscriptions.connectParams(room);
    const left = room - byteLength(JSON.stringify(subscriptions));
    const presence = this.#presences.connectParams(carries === "all" ? left : 0, this.#session !== undefined && this.#connection.failures === 0);
    return {
      token,
      client: this.#client,
      session: this.#session,
      version: VERSION,
      ...(subscriptions.length > 0 && { subscriptions }),
      ...(presence.length > 0 && { presence }),
    };
  }

  /**
   * @param {string} method
   * @param {any} params
   */
  #notification(method, params) {
    if (method === "left") this.#presences.left(params.entity, params.reason ?? "forbidden");
    else if (method === "refused") this.#refused(params);
    else this.#subscriptions.notification(method, params);
  }

  /**
   * What was sent without wanting an answer, which only signals are, was refused.
   * @param {{method: string, entity?: string, error: import("./types.js").RpcErrorBody, count: number}} params
   */
  #refused({ method, entity, error: body, count }) {
    const error = GreenroomError.fromRpc(body ?? { code: 0, message: "refused" });
    error.refused = { method, entity, count };
    this.#failed(error);
  }

  /**
   * The order matters: first the past (subscriptions), then who we are to the others, then what we had to say.
   * @param {import("./types.js").ConnectResult} result
   * @param {import("./rpc.js").Rpc} rpc
   */
  #up(result, rpc) {
    this.#subscriptions.attach(rpc, result.subscriptions ?? []);
    this.#calls.attach(rpc);
    this.#presences.attach(result.resumed === true, result.presence);
    this.#ops.attach(rpc, { client: result.client, user: result.user });
    this.#adoption?.look();
  }

  #down() {
    this.#subscriptions.detach();
    this.#signals.clear();
    this.#calls.detach();
    this.#ops.detach();
  }

  /** @param {import("./types.js").StateChange} change */
  #stateChanged(change) {
    // Another connection has our session, say that of a tab which is our copy. To take it back
    // would go on for ever.
    if (change.error?.code === "replaced") this.#session = undefined;
    if (change.state === "closed") {
      const error = change.error ?? closed();
      this.#unwatch();
      this.#unfollow();
      this.#subscriptions.close(error.code === "closed" ? null : error);
      this.#calls.close(error);
      this.#ops.close(error);
      this.#ended = this.#leaveStorage();
    }
    this.emit("state", change);
  }

  async #leaveStorage() {
    await this.#ready;
    await this.#adoption?.stop();
    await this.#store?.close(this.#discards);
  }

  #pendingChanged() {
    this.emit("pending", this.#ops.count + (this.#adoption?.count ?? 0));
  }

  /** @param {GreenroomError} error */
  #failed(error) {
    this.emit("error", error);
  }

  /**
   * @param {"in" | "out"} direction
   * @param {string} data
   */
  #message(direction, data) {
    if (!this.hasListeners("message")) return;
    const shown = direction === "out" ? data.replace(/"token":"[^"]*"/, '"token":"…"') : data;
    this.emit("message", { direction, data: shown, at: this.#clock.now() });
  }
}

function closed() {
  return new GreenroomError("closed", "the client was closed");
}

/**
 * @param {import("./types.js").WebSocketClass | undefined} given
 * @returns {import("./types.js").WebSocketClass}
 */
function socketClass(given) {
  const found = given ?? globalThis.WebSocket;
  if (!found) throw new GreenroomError("invalid_argument", "there is no global WebSocket here: pass one as `WebSocket`");
  return found;
}
