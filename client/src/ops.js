import { Backoff } from "./backoff.js";
import { GreenroomError, isRetryable } from "./errors.js";

/**
 * @typedef {object} Op
 * @property {number | null} n given when it is first sent, so that an op that waited long is not an old one to the server
 * @property {string} entity
 * @property {string} type
 * @property {any} body
 * @property {number | undefined} ifSeq
 * @property {number} attempts
 * @property {number} refusals answers that said "later"
 * @property {number | null} sentAt when it went out on the present connection
 * @property {(result: import("./types.js").SendResult) => void} resolve
 * @property {(error: GreenroomError) => void} reject
 */

/** @typedef {{ops: Op[], backoff: Backoff, timer: any}} Lane the unanswered ops of one entity, in order; a timer means "not before it fires" */

/** @typedef {{client: string, user: string}} Identity the server remembers outcomes by these two together */

/**
 * Keeps every op until it is answered, and repeats it under the same number after a reconnect.
 *
 * Bounded by `maxPending`: `add` fails when that many ops are unanswered. Per entity at most `pipeline` are in flight, so
 * with the default of 1 an op never overtakes an earlier one that the server put off.
 */
export class Ops {
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #count = 0;
  #nextN = 1;
  /** @type {import("./rpc.js").Rpc | null} */
  #rpc = null;
  /** @type {Identity | null} under which the numbers so far were sent */
  #identity = null;
  /** @type {GreenroomError | null} */
  #closed = null;
  #pumping = false;
  #pumpAgain = false;
  #options;
  #clock;
  #changed;

  /**
   * @param {{maxPending: number, pipeline: number, maxRetries: number}} options
   * @param {import("./types.js").Clock} clock
   * @param {() => void} changed the number of unanswered ops changed
   */
  constructor(options, clock, changed) {
    this.#options = options;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** @returns {import("./types.js").PendingOp[]} */
  get pending() {
    return [...this.#lanes.values()].flatMap((lane) =>
      lane.ops.map(({ n, entity, type, body, attempts, sentAt }) => ({ n, entity, type, body, attempts, inFlight: sentAt !== null })),
    );
  }

  get count() {
    return this.#count;
  }

  /** When the op that has waited longest for its answer was sent. */
  get oldestSentAt() {
    let oldest = Infinity;
    for (const { ops } of this.#lanes.values()) for (const op of ops) oldest = Math.min(oldest, op.sentAt ?? Infinity);
    return oldest;
  }

  /**
   * @param {string} entity
   * @param {string} type
   * @param {any} body
   * @param {number} [ifSeq]
   * @returns {Promise<import("./types.js").SendResult>}
   */
  add(entity, type, body, ifSeq) {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed);
      if (this.#count >= this.#options.maxPending) {
        return reject(new GreenroomError("queue_full", `${this.#options.maxPending} ops are unanswered already`));
      }
      // A repeat must say what the first sending said, whatever the app does to its object in the meantime.
      const copy = asJson(body);
      if (copy instanceof GreenroomError) return reject(copy);
      this.#push({ n: null, entity, type, body: copy, ifSeq, attempts: 0, refusals: 0, sentAt: null, resolve, reject });
      this.#pump();
    });
  }

  /**
   * There is a connection: repeat what was in doubt and send the rest.
   * @param {import("./rpc.js").Rpc} rpc
   * @param {Identity} identity
   */
  attach(rpc, identity) {
    const before = this.#identity;
    this.#identity = identity;
    if (before && (before.client !== identity.client || before.user !== identity.user)) this.#forgetDoubtful();
    this.#rpc = rpc;
    // The numbers go up in the order of the first sending; repeats keep to that order over all entities.
    const lanes = [...this.#lanes].sort(([, a], [, b]) => (a.ops[0]?.n ?? Infinity) - (b.ops[0]?.n ?? Infinity));
    this.#lanes = new Map(lanes);
    this.#pump();
  }

  /** The connection is gone, or is going: nothing new is sent. */
  detach() {
    this.#rpc = null;
  }

  /** Room for another request. */
  free() {
    this.#pump();
  }

  /** @param {GreenroomError} error */
  close(error) {
    this.#closed = error;
    this.#rpc = null;
    const ops = [...this.#lanes.values()].flatMap((lane) => lane.ops);
    for (const { timer } of this.#lanes.values()) this.#clock.clearTimeout(timer);
    this.#lanes.clear();
    this.#count = 0;
    for (const op of ops) op.reject(error);
    if (ops.length > 0) this.#changed();
  }

  /** @param {Op} op */
  #push(op) {
    let lane = this.#lanes.get(op.entity);
    if (!lane) {
      lane = { ops: [], backoff: new Backoff({ baseMs: 250, capMs: 10_000 }, this.#clock.random), timer: null };
      this.#lanes.set(op.entity, lane);
    }
    lane.ops.push(op);
    this.#count += 1;
    this.#changed();
  }

  /** Sends what may be sent. What it sends can fail at once and call for another round, hence the guard. */
  #pump() {
    this.#pumpAgain = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#pumpAgain) {
        this.#pumpAgain = false;
        this.#round();
      }
    } finally {
      this.#pumping = false;
    }
  }

  #round() {
    const rpc = this.#rpc;
    if (!rpc) return;
    // A quarter of the slots stays with the other methods, so that a burst of ops does not hold up a read.
    const reserve = Math.floor(rpc.capacity / 4);
    for (const lane of this.#lanes.values()) {
      for (const op of lane.ops.slice(0, this.#options.pipeline)) {
        if (lane.timer !== null || rpc !== this.#rpc || rpc.free <= reserve) break;
        if (op.sentAt === null) this.#send(lane, op, rpc);
      }
    }
  }

  /**
   * @param {Lane} lane
   * @param {Op} op
   * @param {import("./rpc.js").Rpc} rpc
   */
  #send(lane, op, rpc) {
    op.n ??= this.#nextN++;
    op.attempts += 1;
    op.sentAt = this.#clock.now();
    const { entity, type, body, n, ifSeq } = op;
    rpc.ask("send", { entity, type, body, n, if_seq: ifSeq }, (error, result) => {
      op.sentAt = null;
      if (!lane.ops.includes(op)) return;
      if (error?.code === "disconnected") return;
      if (error && isRetryable(error) && op.refusals < this.#options.maxRetries) return this.#later(lane, op, error);
      if (!error) lane.backoff.reset();
      this.#settle(lane, op, error, result);
    });
  }

  /**
   * @param {Lane} lane
   * @param {Op} op
   * @param {GreenroomError} error
   */
  #later(lane, op, error) {
    op.refusals += 1;
    const ms = (error.retryAfterMs ?? 0) + lane.backoff.next();
    this.#clock.clearTimeout(lane.timer);
    lane.timer = this.#clock.setTimeout(() => {
      lane.timer = null;
      this.#pump();
    }, ms);
  }

  /**
   * @param {Lane} lane
   * @param {Op} op
   * @param {GreenroomError | null} error
   * @param {import("./types.js").SendResult} [result]
   */
  #settle(lane, op, error, result) {
    lane.ops.splice(lane.ops.indexOf(op), 1);
    if (lane.ops.length === 0 && this.#lanes.get(op.entity) === lane) {
      this.#clock.clearTimeout(lane.timer);
      this.#lanes.delete(op.entity);
    }
    this.#count -= 1;
    this.#changed();
    if (error) op.reject(error);
    else op.resolve(/** @type {import("./types.js").SendResult} */ (result));
    this.#pump();
  }

  /** To a new identity the old numbers mean nothing: a repeat could happen twice, so what was sent is given up, and said so. */
  #forgetDoubtful() {
    for (const lane of [...this.#lanes.values()]) {
      for (const op of lane.ops.filter((each) => each.n !== null)) {
        this.#settle(lane, op, new GreenroomError("outcome_unknown", "the connection came back with another identity; the op may have happened"));
      }
    }
  }

  /** What it takes to go on after a reload. @returns {import("./persist.js").Saved | null} */
  save() {
    if (!this.#identity) return null;
    const ops = [...this.#lanes.values()].flatMap((lane) => lane.ops.map(({ n, entity, type, body, ifSeq }) => ({ n, entity, type, body, ifSeq })));
    return { ...this.#identity, nextN: this.#nextN, ops };
  }

  /**
   * Takes up what an earlier page left. Nobody waits for these ops any more, so failures go to `failed`.
   * @param {import("./persist.js").Saved} saved
   * @param {(error: GreenroomError) => void} failed
   */
  restore(saved, failed) {
    this.#identity = { client: saved.client, user: saved.user };
    this.#nextN = saved.nextN;
    for (const op of saved.ops.slice(0, this.#options.maxPending)) {
      this.#push({ ...op, attempts: 0, refusals: 0, sentAt: null, resolve: () => {}, reject: failed });
    }
  }

  /** @param {number} n the number of the next op */
  startAt(n) {
    this.#nextN = n;
  }
}

/**
 * @param {any} body
 * @returns {any} its JSON form, or the error that it has none
 */
function asJson(body) {
  try {
    return JSON.parse(JSON.stringify(body ?? null) ?? "null");
  } catch (cause) {
    return new GreenroomError("invalid_argument", "the body is no JSON value", { cause });
  }
}
