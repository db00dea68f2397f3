import { openDatabase, transact } from "./database.js";
import { GreenroomError } from "./errors.js";
import { KeptClient } from "./kept.js";
import { own } from "./locks.js";

/** @typedef {import("./database.js").ClientRow} ClientRow */
/** @typedef {import("./types.js").StorageLike} StorageLike */

// A page takes this many numbers at once, so that no crash can make a later page use one again; no
// page sends that many ops.
const BLOCK = 2 ** 30;
// Beyond this a client id is not taken up by another page: there must be a whole block of numbers
// below 2^53.
const LAST_BLOCK = 2 ** 52;
// Client ids that nobody uses and that have no ops, for the next pages; older ones are removed.
const SPARE = 16;
// A reload may be quicker than the end of the page before it.
const RELOAD_MS = 500;

/**
 * @typedef {object} IndexedDbOptions
 * @property {string} [name] the database's name (default `greenroom`); give each account of one browser its own
 * @property {number} [maxBytes] of unanswered ops, for each page (default 8 MiB); their number is bounded by `maxPending`
 * @property {import("./dom.js").Factory} [indexedDB] for tests
 * @property {import("./dom.js").Locks} [locks] for tests
 * @property {StorageLike | null} [session] for tests; the tab's `sessionStorage`
 */

/**
 * Keeps the client id and its unanswered ops in IndexedDB, so that they outlive a closed tab and a crashed browser. Pass it as
 * `storage` to `connect`. Throws where there is no IndexedDB.
 * @param {IndexedDbOptions} [options]
 */
export function indexedDbStorage(options = {}) {
  const factory = options.indexedDB ?? globalThis.indexedDB;
  if (!factory) throw new GreenroomError("invalid_argument", "there is no IndexedDB here: `indexedDbStorage` is for browsers");
  return new IndexedDbStorage(factory, options);
}

/** What `indexedDbStorage` makes; it holds nothing until a client opens it. */
export class IndexedDbStorage {
  /** @type {string} */
  name;
  /** @type {number} */
  maxBytes;
  /** @type {StorageLike | null} */
  session;
  #factory;
  #locks;

  /**
   * @param {import("./dom.js").Factory} factory
   * @param {IndexedDbOptions} options
   */
  constructor(factory, { name = "greenroom", maxBytes = 8 * 1024 * 1024, locks, session }) {
    this.name = name;
    this.maxBytes = maxBytes;
    this.session = session === undefined ? tabStorage() : session;
    this.#factory = factory;
    this.#locks = locks ?? globalThis.navigator?.locks;
  }

  /**
   * For the SDK. Rejects with `storage_failed` where ops cannot be kept.
   * @param {string} url
   * @param {import("./types.js").Clock} clock
   * @param {(error: GreenroomError) => void} failed what goes wrong later, and loses no op that is in memory
   * @returns {Promise<Store>}
   */
  async open(url, clock, failed) {
    if (!this.#locks) {
      throw new GreenroomError("storage_failed", "there are no Web Locks here (pages need https for them): ops outlive a reload only", { reason: "no_locks" });
    }
    try {
      const db = await openDatabase(this.#factory, this.name, clock);
      const store = new Store(db, this.#locks, { name: this.name, url, maxBytes: this.maxBytes, session: this.session, clock, failed });
      await store.claim();
      return store;
    } catch (cause) {
      throw new GreenroomError("storage_failed", "the browser's database cannot be used: ops outlive a reload only", { reason: "open_failed", cause });
    }
  }
}

/** The open database of one page: the client id that it owns, and the way to those that others left. */
export class Store {
  /** @type {KeptClient | null} */
  #own = null;
  #db;
  #locks;
  #options;

  /**
   * @param {import("./dom.js").Database} db
   * @param {import("./dom.js").Locks} locks
   * @param {{name: string, url: string, maxBytes: number, session: StorageLike | null, clock: import("./types.js").Clock,
   *   failed: (error: GreenroomError) => void}} options `url` without what changes from one connection to the next
   */
  constructor(db, locks, options) {
    this.#db = db;
    this.#locks = locks;
    this.#options = options;
    const lost = (/** @type {string} */ why) => options.failed(new GreenroomError("storage_failed", `${why}: ops are kept no longer`, { reason: "closed" }));
    // A newer page wants another schema: this one must let go, and goes on in memory.
    db.onversionchange = () => {
      db.close();
      lost("a newer page has taken the database over");
    };
    db.onclose = () => lost("the browser has closed the database");
  }

  /** The client id of this page. */
  get own() {
    if (!this.#own) throw new Error("`claim` comes first");
    return this.#own;
  }

  /** Takes up the client id that this tab had, or one that nobody owns any more, those with ops first; or begins a new one. */
  async claim() {
    const hint = this.#hint();
    const rows = (await this.#rows()).filter(({ row }) => row.nextN <= LAST_BLOCK);
    rows.sort((a, b) => Number(b.row.key === hint) - Number(a.row.key === hint) || Number(b.ops > 0) - Number(a.ops > 0) || b.row.usedAt - a.row.usedAt);
    for (const { row } of rows) {
      const release = await this.#lock(row.key, row.key === hint ? RELOAD_MS : undefined);
      if (release && (await this.#claim(row.key, release))) return;
    }
    const key = crypto.randomUUID();
    const release = await this.#lock(key);
    const row = { key, url: this.#options.url, nextN: 1 + BLOCK, usedAt: this.#options.clock.now() };
    await transact(this.#db, "readwrite", (clients) => (clients.put(row), () => {}));
    this.#keep(this.#kept({ row, nextN: 1, ops: [] }, release ?? (() => {})));
  }

  /**
   * A client id with unanswered ops whose owner is gone; it is this page's until it is closed. Removes spare ones on the way.
   * @param {Set<string>} except keys that are not wanted
   * @returns {Promise<KeptClient | null>}
   */
  async orphan(except) {
    const rows = (await this.#rows()).filter(({ row }) => !except.has(row.key) && row.key !== this.#own?.key);
    rows.sort((a, b) => b.row.usedAt - a.row.usedAt);
    for (const { row } of rows.filter(({ ops }) => ops === 0).slice(SPARE)) await this.#remove(row.key);
    for (const { row } of rows.filter(({ ops }) => ops > 0)) {
      const release = await this.#lock(row.key);
      const taken = release && (await this.#take(row.key, 0));
      if (taken && taken.ops.length > 0) return this.#kept(taken, release);
      release?.();
    }
    return null;
  }

  /** @param {boolean} discard */
  async close(discard) {
    if (discard) this.#own?.discard();
    await this.#own?.close();
    this.#db.close();
  }

  /** The client ids of this server, and how many ops each has. */
  async #rows() {
    const all = await transact(this.#db, "readonly", (clients, ops) => {
      /** @type {{row: ClientRow, count: IDBRequest<number>}[]} */
      const found = [];
      const rows = clients.getAll();
      rows.onsuccess = () => {
        for (const row of rows.result) found.push({ row, count: ops.index("key").count(row.key) });
      };
      return () => found.map(({ row, count }) => ({ row, ops: count.result }));
    });
    return all.filter(({ row }) => row.url === this.#options.url);
  }

  /**
   * @param {string} key
   * @param {() => void} release
   */
  async #claim(key, release) {
    const taken = await this.#take(key, BLOCK);
    if (!taken) return void release();
    this.#keep(this.#kept(taken, release));
    return true;
  }

  /**
   * What is there under a key that is locked, with `block` numbers taken from it; null when its last owner removed it.
   * @param {string} key
   * @param {number} block
   */
  #take(key, block) {
    return transact(this.#db, block > 0 ? "readwrite" : "readonly", (clients, ops) => {
      const found = clients.get(key);
      const left = ops.index("key").getAll(key);
      /** @type {ClientRow | undefined} */
      let row;
      left.onsuccess = () => {
        if (!found.result) return;
        row = { ...found.result, nextN: found.result.nextN + block };
        // It dates the ops that are left, not those that are still to come.
        if (!left.result.some(({ firstSent }) => firstSent === null)) delete row?.connectedAt;
        if (block > 0) clients.put({ ...row, usedAt: this.#options.clock.now() });
      };
      return () => row && { row, nextN: found.result.nextN, ops: left.result };
    });
  }

  /** @param {string} key */
  async #remove(key) {
    const release = await this.#lock(key);
    if (!release) return;
    const taken = await this.#take(key, 0);
    if (taken?.ops.length === 0) await transact(this.#db, "readwrite", (clients) => (clients.delete(key), () => {}));
    release();
  }

  /**
   * @param {{row: ClientRow, nextN: number, ops: import("./database.js").OpRow[]}} taken
   * @param {() => void} release
   */
  #kept(taken, release) {
    const { maxBytes, clock, failed } = this.#options;
    return new KeptClient(this.#db, taken, release, { maxBytes, clock, failed });
  }

  /** @param {KeptClient} kept */
  #keep(kept) {
    this.#own = kept;
    try {
      this.#options.session?.setItem(this.#hintKey, kept.key);
    } catch {
      // A hint that cannot be left costs a reload its own client id, not its ops.
    }
  }

  /** The client id that this tab had before a reload. A duplicated tab has the same hint, and finds it owned. */
  #hint() {
    try {
      return this.#options.session?.getItem(this.#hintKey) ?? null;
    } catch {
      return null;
    }
  }

  get #hintKey() {
    return `greenroom.kept.${this.#options.name}`;
  }

  /**
   * @param {string} key
   * @param {number} [waitMs]
   */
  #lock(key, waitMs) {
    return own(this.#locks, `greenroom:${this.#options.name}:${key}`, waitMs);
  }
}

/** The tab's storage, where the browser lets pages have one. */
function tabStorage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}
