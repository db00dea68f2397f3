import { Backoff } from "./backoff.js";
import { byteLength, jsonBody } from "./body.js";
import { GreenroomError, aboutOp, isConnectionLimit, isRetryable } from "./errors.js";
import { newOp, pendingOp } from "./op.js";
import { promised } from "./promised.js";
import { ServerTime } from "./servertime.js";
import { Tags } from "./tags.js";

/** @typedef {import("./op.js").Op} Op */

/** @typedef {{ops: Op[], backoff: Backoff, timer: any}} Lane the unanswered ops of one entity, in order; a timer means "not before it fires" */

/**
 * Somebody who wants to know about the ops of one entity.
 * @typedef {object} Watcher
 * @property {() => void} changed there is one more, or there is one less
 * @property {(op: Op, error: GreenroomError | null, result?: import("./types.js").SendResult) => void} settled before its promise is
 */

/** @typedef {{client: string, user: string}} Identity the server remembers outcomes by these two together */

/**
 * Keeps every op until it is answered, and repeats it under the same number after a reconnect.
 *
 * With a storage (`keepIn`) an op is sent only once it is on disk there, under its number: a page that dies afterwards leaves
 * the next one all it needs to repeat the op as the same op, and one that dies before has sent nothing. In the other order a
 * number could be used for two ops, and the second would be taken for a repeat of the first.
 *
 * Bounded by `maxPending`: `add` fails when that many ops are unanswered. Per entity at most `pipeline` are in flight, so
 * with the default of 1 an op never overtakes an earlier one that the server put off.
 */
export class Ops {
  /** @type {Map<string, Lane>} */
  #lanes = new Map();
  #count = 0;
  /** How many of them have been seen as events already. */
  #seen = 0;
  /** @type {Map<string, Set<Watcher>>} by entity */
  #watchers = new Map();
  #tags = new Tags();
  #nextN = 1;
  /** @type {import("./kept.js").KeptClient | null} */
  #keep = null;
  /** Whether the storage knows under which identity the ops are sent now. */
  #identified = true;
  /** @type {import("./rpc.js").Rpc | null} */
  #rpc = null;
  /** @type {Identity | null} under which the numbers so far were sent */
  #identity = null;
  /** @type {GreenroomError | null} */
  #closed = null;
  #serverTime;
  #pumping = false;
  #pumpAgain = false;
  #options;
  #clock;
  #changed;

  /**
   * @param {{maxPending: number, pipeline: number, maxRetries: number}} options
   * @param {import("./types.js").Clock} clock
   * @param {() => void} changed the number of unanswered ops changed, or one of them is kept now
   */
  constructor(options, clock, changed) {
    this.#options = options;
    this.#clock = clock;
    this.#changed = changed;
    this.#serverTime = new ServerTime(clock);
  }

  /** @param {number | undefined} now the server's clock */
  setClock(now) {
    this.#serverTime.set(now);
  }

  /** Those whose events have not been delivered. @returns {import("./types.js").PendingOp[]} */
  get pending() {
    return [...this.#lanes.values()].flatMap((lane) => lane.ops.filter(({ seen }) => !seen).map(pendingOp));
  }

  get count() {
    return this.#count - this.#seen;
  }

  /** All that have no answer, in the order in which the entity gets them. @param {string} entity @returns {readonly Op[]} */
  of(entity) {
    return this.#lanes.get(entity)?.ops ?? [];
  }

  /**
   * @param {string} entity
   * @param {Watcher} watcher
   * @returns {() => void} ends it
   */
  watch(entity, watcher) {
    const watchers = this.#watchers.get(entity) ?? new Set();
    this.#watchers.set(entity, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(entity) === watchers) this.#watchers.delete(entity);
    };
  }

  /** @param {string} entity @param {(watcher: Watcher) => void} tell */
  #tell(entity, tell) {
    for (const watcher of [...(this.#watchers.get(entity) ?? [])]) tell(watcher);
  }

  /** When the op that has waited longest for its answer was sent, by the monotonic clock. */
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
    return promised((resolve, reject) => {
      if (this.#closed) return reject(this.#closed);
      if (this.#count >= this.#options.maxPending) {
        return reject(new GreenroomError("queue_full", `${this.#options.maxPending} ops are unanswered already`));
      }
      // A repeat must say what the first sending said, whatever the app does to its object in the
      // meantime.
      const copy = jsonBody(body);
      if (copy instanceof GreenroomError) return reject(copy);
      const op = newOp({ n: null, entity, type, body: copy, ifSeq, firstSent: null, resolve, reject });
      this.#push(op);
      if (this.#keep) this.#hold(op, this.#keep);
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
    if (this.#keep) {
      this.#identified = false;
      this.#keep.identify({ ...identity, now: this.#serverTime.now }, () => {
        this.#identified = true;
        this.#pump();
      });
    }
    // The numbers go up in the order of the first sending; repeats keep to that order over all
    // entities.
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

  /**
   * An event is about to be delivered: if it is one of these ops, that op is pending no longer, though its answer is yet to come.
   * @param {string} tag
   * @returns {boolean} whether this client sent it
   */
  saw(tag) {
    const op = this.#tags.pending(tag);
    if (op && !op.seen) {
      op.seen = true;
      this.#seen += 1;
      this.#changed();
    }
    return this.owns(tag);
  }

  /** Whether this client sent the event with this tag. @param {string} tag */
  owns(tag) {
    return this.#tags.own(tag);
  }

  /** @param {GreenroomError} error */
  close(error) {
    this.#closed = error;
    this.#rpc = null;
    // What is kept and has nobody waiting for it is not over: a later page sends it.
    const ops = [...this.#lanes.values()].flatMap((lane) => lane.ops.filter((op) => !(op.restored && op.kept)));
    for (const { timer } of this.#lanes.values()) this.#clock.clearTimeout(timer);
    this.#lanes.clear();
    const changed = this.count > 0;
    this.#count = this.#seen = 0;
    for (const op of ops) op.reject(error);
    if (changed) this.#changed();
  }

  /** @param {Op} op */
  #push(op) {
    let lane = this.#lanes.get(op.entity);
    if (!lane) {
      lane = { ops: [], backoff: new Backoff({ baseMs: 250, capMs: 10_000 }, this.#clock.random), timer: null };
      this.#lanes.set(op.entity, lane);
    }
    lane.ops.push(op);
    this.#tags.add(op);
    this.#count += 1;
    if (op.seen) this.#seen += 1;
    this.#changed();
    this.#tell(op.entity, (watcher) => watcher.changed());
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
    // A quarter of the slots stays with the other methods, so that a burst of ops does not hold up
    // a read.
    const reserve = Math.floor(rpc.capacity / 4);
    for (const lane of this.#lanes.values()) {
      for (const op of lane.ops.slice(0, this.#options.pipeline)) {
        if (lane.timer !== null || rpc !== this.#rpc || rpc.free <= reserve) break;
        if (op.held || (op.kept && !this.#identified)) break;
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
    const unfit = this.#unfit(op, rpc);
    if (unfit) return this.#settle(lane, op, unfit);
    op.n ??= this.#nextN++;
    op.doubtful = true;
    op.attempts += 1;
    op.sentAt = this.#clock.monotonic();
    // When the server's time is not known now, nobody can tell later when this was.
    if (op.firstSent === null) op.firstSent = this.#serverTime.now ?? undefined;
    const { entity, type, body, n, ifSeq, firstSent } = op;
    const tag = rpc.tags ? op.tag : undefined;
    const answered = (/** @type {GreenroomError | null} */ error, /** @type {any} */ result) => {
      op.sentAt = null;
      if (!lane.ops.includes(op)) return;
      if (error?.code === "disconnected") return;
      // It is sent again when the connection is free.
      if (error && isConnectionLimit(error)) return;
      if (error && isRetryable(error) && op.refusals < this.#options.maxRetries) return this.#later(lane, op, error);
      if (!error) lane.backoff.reset();
      this.#settle(lane, op, error, result);
    };
    rpc.ask("send", { entity, type, body, n, if_seq: ifSeq, first_sent: firstSent, tag }, answered, { once: true });
  }

  /**
   * Why it cannot be sent. An earlier page, or an older version, may have left what this one would not have taken.
   * @param {Op} op
   * @param {import("./rpc.js").Rpc} rpc
   */
  #unfit({ body, restored }, { maxBodyBytes = Infinity }) {
    const copy = restored ? jsonBody(body) : body;
    if (copy instanceof GreenroomError) return copy;
    if (maxBodyBytes === Infinity) return null;
    const text = JSON.stringify(body);
    const bytes = text.length * 3 <= maxBodyBytes ? 0 : byteLength(text);
    return bytes <= maxBodyBytes ? null : new GreenroomError("too_large", `the body has ${bytes} bytes, the server takes ${maxBodyBytes}`);
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
    this.#tags.settled(op, !error);
    if (op.seen) this.#seen -= 1;
    if (op.n !== null) this.#keep?.remove(op.n);
    if (lane.ops.length === 0 && this.#lanes.get(op.entity) === lane) {
      this.#clock.clearTimeout(lane.timer);
      this.#lanes.delete(op.entity);
    }
    this.#count -= 1;
    if (!op.seen) this.#changed();
    this.#tell(op.entity, (watcher) => watcher.settled(op, error, result));
    if (error) op.reject(error);
    else op.resolve(/** @type {import("./types.js").SendResult} */ (result));
    this.#pump();
  }

  /** To a new identity the old numbers mean nothing: a repeat could happen twice, so what was sent is given up, and said so. */
  #forgetDoubtful() {
    for (const lane of [...this.#lanes.values()]) {
      for (const op of lane.ops.filter(({ doubtful }) => doubtful)) {
        this.#settle(lane, op, new GreenroomError("outcome_unknown", "the connection came back with another identity; the op may have happened"));
      }
    }
  }

  /** @param {Op} op @param {import("./kept.js").KeptClient} keep */
  #hold(op, keep) {
    const n = (op.n = keep.number());
    op.held = true;
    const { entity, type, body, ifSeq, tag } = op;
    // It cannot be sent before this moment, whichever page will send it.
    keep.put({ n, entity, type, body, ifSeq, tag, firstSent: this.#serverTime.now }, (kept) => {
      op.held = false;
      op.kept = kept;
      if (!this.#lanes.get(op.entity)?.ops.includes(op)) return;
      this.#changed();
      this.#pump();
    });
  }

  /**
   * From now on ops outlive the page. What an earlier page left comes before what this one has gathered meanwhile. To be called
   * before the first `attach`.
   * @param {import("./kept.js").KeptClient} keep
   * @param {(error: GreenroomError) => void} failed what became of ops that nobody waits for
   */
  keepIn(keep, failed) {
    const gathered = this.#unload();
    this.#keep = keep;
    const { client, user } = keep;
    if (client !== undefined && user !== undefined) this.#identity = { client, user };
    for (const left of keep.left.splice(0)) {
      const firstSent = keep.firstSent(left);
      // Ops are sent only once the client has an identity, and the page that put them down had a
      // connection.
      this.#restore({ ...left, firstSent }, { doubtful: this.#identity !== null && firstSent !== null, kept: true }, failed);
    }
    for (const op of gathered) {
      this.#push(op);
      this.#hold(op, keep);
    }
  }

  /** All ops, out of their lanes, to make room before them. */
  #unload() {
    const ops = [...this.#lanes.values()].flatMap((lane) => lane.ops);
    this.#lanes.clear();
    this.#count = this.#seen = 0;
    return ops;
  }

  /**
   * @param {import("./op.js").LeftOp} left
   * @param {{doubtful: boolean, kept: boolean}} was
   * @param {(error: GreenroomError) => void} failed
   */
  #restore(left, was, failed) {
    const told = (/** @type {GreenroomError} */ error) => failed(aboutOp(error, pendingOp(op)));
    const op = newOp({ ...left, resolve: () => {}, reject: told });
    this.#push(Object.assign(op, was, { restored: true }));
  }

  /** What it takes to go on after a reload. @returns {import("./persist.js").Saved | null} */
  save() {
    if (!this.#identity) return null;
    const left = (/** @type {Op} */ { n, entity, type, body, ifSeq, tag, firstSent }) => ({ n, entity, type, body, ifSeq, tag, firstSent });
    const ops = [...this.#lanes.values()].flatMap((lane) => lane.ops.map(left));
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
    const gathered = this.#unload();
    for (const op of saved.ops.slice(0, this.#options.maxPending)) {
      // What has no number was never sent.
      const firstSent = op.n === null ? null : (op.firstSent ?? undefined);
      this.#restore({ ...op, firstSent }, { doubtful: op.n !== null, kept: false }, failed);
    }
    for (const op of gathered) this.#push(op);
  }

  /** @param {number} n the number of the next op */
  startAt(n) {
    this.#nextN = n;
  }
}
