import { transact } from "./database.js";
import { GreenroomError } from "./errors.js";

// What one transaction takes; the rest waits for the next.
const BATCH = 256;
const RETRY_MS = 1_000;

/** @typedef {import("./database.js").ClientRow} ClientRow */
/** @typedef {import("./database.js").OpRow} OpRow */

/** @typedef {{apply: (clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => void, done: (error: unknown) => void}} Job */

/**
 * A client id in the database, owned by this page: the ops that were put down under it, and who it is to the server.
 * Writes are gathered: while one transaction runs, the next fills up. At most `maxBytes` of ops are kept, besides the bound
 * that the caller has on their number; an op that cannot be kept is told to the caller and to `failed`, once per series.
 */
export class KeptClient {
  #db;
  #row;
  #nextN;
  #release;
  #options;
  /** @type {Job[]} */
  #jobs = [];
  #writing = false;
  /** @type {Map<number, number>} the bytes of each kept op */
  #sizes = new Map();
  #bytes = 0;
  #told = false;
  /** Some op was put down when the server's time was not known. */
  #early;
  /** @type {{client: string, user: string, now: number | null} | null} the identity that is to be written */
  #wanted = null;
  /** @type {any} */
  #retry = null;
  /** @type {(() => void)[]} */
  #idle = [];

  /**
   * @param {import("./dom.js").Database} db
   * @param {{row: ClientRow, nextN: number, ops: OpRow[]}} taken
   * @param {() => void} release gives the lock back
   * @param {{maxBytes: number, clock: import("./types.js").Clock, failed: (error: GreenroomError) => void}} options
   */
  constructor(db, { row, nextN, ops }, release, options) {
    this.#db = db;
    this.#row = row;
    this.#nextN = nextN;
    this.#release = release;
    this.#options = options;
    /** What an earlier page left, in the order of its numbers. */
    this.left = ops;
    this.#early = ops.some(({ firstSent }) => firstSent === null);
    for (const { n, bytes } of ops) this.#count(n, bytes);
  }

  /**
   * A moment of the server's clock at which an op that was left had not been sent yet. Null: it never was; undefined: an older
   * version left it, and nobody knows.
   * @param {OpRow} op
   */
  firstSent({ firstSent }) {
    if (firstSent !== null) return firstSent;
    // Its page had no connection when it put it down. If it had one later, that was written first.
    return this.#row.connectedAt === undefined ? null : (this.#row.connectedAt ?? undefined);
  }

  get key() {
    return this.#row.key;
  }

  /** The client id; absent until a server has given one. */
  get client() {
    return this.#row.client;
  }

  get user() {
    return this.#row.user;
  }

  /** A number that no page has used under this client id. */
  number() {
    return this.#nextN++;
  }

  /**
   * @param {Pick<OpRow, "n" | "entity" | "type" | "body" | "ifSeq" | "tag" | "firstSent">} op
   * @param {(kept: boolean) => void} done once the transaction is complete, or when there will be none
   */
  put({ n, entity, type, body, ifSeq, tag, firstSent }, done) {
    const bytes = new TextEncoder().encode(JSON.stringify(body)).length + entity.length + type.length;
    if (this.#bytes + bytes > this.#options.maxBytes) {
      this.#fail(new GreenroomError("storage_failed", `${this.#options.maxBytes} bytes of ops are kept already`, { reason: "full" }));
      return done(false);
    }
    this.#count(n, bytes);
    if (firstSent === null) this.#early = true;
    const row = { key: this.key, n, entity, type, body, ifSeq, tag, firstSent, bytes, at: this.#options.clock.now() };
    this.#add({
      apply: (_, ops) => void ops.put(row),
      done: (error) => {
        if (error) this.#forget(n);
        done(!error);
      },
    });
  }

  /** The op is answered. If that cannot be written it is repeated by a later page, which the server answers as the repeat it is. @param {number} n */
  remove(n) {
    if (!this.#sizes.has(n)) return;
    this.#forget(n);
    this.#add({ apply: (_, ops) => void ops.delete([this.key, n]), done: () => {} });
  }

  /**
   * The server knows this client by these names from now on. Before `done`, no op that is kept may be sent: a later page would
   * repeat it under another client id, where it would happen a second time.
   * @param {{client: string, user: string, now: number | null}} identity and the server's time, before which nothing is sent that was put
   *   down without knowing it
   * @param {() => void} done is not called when another identity came before it was written
   */
  identify({ client, user, now }, done) {
    const dated = !this.#early || this.#row.connectedAt !== undefined;
    if (this.#row.client === client && this.#row.user === user && dated) {
      this.#wanted = null;
      return done();
    }
    const wanted = (this.#wanted = { client, user, now });
    const row = { ...this.#row, client, user, ...(dated ? {} : { connectedAt: now }) };
    this.#add({
      apply: (clients) => void clients.put(row),
      done: (error) => {
        if (!error) this.#row = row;
        if (this.#wanted !== wanted) return;
        if (!error) return done();
        this.#retry = this.#options.clock.setTimeout(() => this.#wanted === wanted && this.identify(wanted, done), RETRY_MS);
      },
    });
  }

  /** Takes all that is kept out of the database, the client id with it. */
  discard() {
    this.#wanted = null;
    const { key } = this;
    const numbers = [...this.#sizes.keys()];
    for (const n of numbers) this.#forget(n);
    this.#add({
      apply: (clients, ops) => {
        clients.delete(key);
        for (const n of numbers) ops.delete([key, n]);
      },
      done: () => {},
    });
  }

  /** Writes what is waiting, then lets others own it. */
  async close() {
    this.#wanted = null;
    this.#options.clock.clearTimeout(this.#retry);
    if (this.#writing) await new Promise((resolve) => this.#idle.push(() => resolve(undefined)));
    this.#release();
  }

  /** @param {Job} job */
  #add(job) {
    this.#jobs.push(job);
    if (!this.#writing) void this.#write();
  }

  async #write() {
    this.#writing = true;
    // Whatever is put down in this turn shares the first transaction.
    await null;
    while (this.#jobs.length > 0) {
      const batch = this.#jobs.splice(0, BATCH);
      const error = await this.#commit(batch);
      if (error === null) this.#told = false;
      // One op that is too large must not cost the others their place.
      const alone = error !== null && batch.length > 1;
      for (const job of batch) job.done(alone ? await this.#commit([job]) : error);
    }
    this.#writing = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /**
   * @param {Job[]} batch
   * @returns {Promise<unknown>} why it was not written, or null
   */
  async #commit(batch) {
    try {
      await transact(this.#db, "readwrite", (clients, ops) => {
        for (const { apply } of batch) apply(clients, ops);
        return () => {};
      });
      return null;
    } catch (cause) {
      const quota = cause instanceof Error && cause.name === "QuotaExceededError";
      const message = quota ? "the browser has no room for the op; it is sent without being kept" : "the browser could not write to its storage";
      if (batch.length === 1) this.#fail(new GreenroomError("storage_failed", message, { reason: quota ? "quota" : "write_failed", cause }));
      return cause ?? new Error(message);
    }
  }

  /** @param {GreenroomError} error */
  #fail(error) {
    if (this.#told) return;
    this.#told = true;
    this.#options.failed(error);
  }

  /**
   * @param {number} n
   * @param {number} bytes
   */
  #count(n, bytes) {
    this.#sizes.set(n, bytes);
    this.#bytes += bytes;
  }

  /** @param {number} n */
  #forget(n) {
    this.#bytes -= this.#sizes.get(n) ?? 0;
    this.#sizes.delete(n);
  }
}
