import { Connection } from "./connection.js";
import { GreenroomError } from "./errors.js";
import { Ops } from "./ops.js";
import { watchAnswers } from "./watch.js";

// How long a client id may lie about without its owner until another page takes it up. A reloading
// page is back long before.
const LOOK_MS = 30_000;

/**
 * Sends the ops that other pages left behind when they ended. They belong to those pages' client ids, so they go over a
 * connection of their own: one client id at a time, only while this page is connected, and only until all is answered.
 */
export class Adoption {
  /** @type {{kept: import("./kept.js").KeptClient, ops: Ops, connection: Connection, unwatch: () => void} | null} */
  #adopted = null;
  /** @type {Set<string>} those that are another user's, or that the server would not have */
  #left = new Set();
  /** @type {Promise<unknown> | null} */
  #looking = null;
  #stopped = false;
  /** @type {any} */
  #timer = null;
  #store;
  #options;
  #hooks;

  /**
   * @param {import("./indexeddb.js").Store} store
   * @param {{connection: ConstructorParameters<typeof Connection>[0], limits: ConstructorParameters<typeof Ops>[0], version: string, answerTimeoutMs: number}} options
   * @param {{connected: () => boolean, changed: () => void, failed: (error: import("./errors.js").GreenroomError) => void}} hooks
   */
  constructor(store, options, hooks) {
    this.#store = store;
    this.#options = options;
    this.#hooks = hooks;
  }

  /** @returns {import("./types.js").PendingOp[]} */
  get pending() {
    return this.#adopted?.ops.pending ?? [];
  }

  get count() {
    return this.#adopted?.ops.count ?? 0;
  }

  /** Looks for what others left, now and from time to time. */
  look() {
    const { clock } = this.#options.connection;
    clock.clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = clock.setTimeout(() => this.look(), LOOK_MS);
    if (this.#adopted || this.#looking || !this.#hooks.connected()) return;
    this.#looking = this.#store
      .orphan(this.#left)
      .then((kept) => kept && (this.#stopped ? kept.close() : this.#adopt(kept)))
      // The database is gone, which its owner has been told.
      .catch(() => {})
      .finally(() => (this.#looking = null));
  }

  /** What is not answered yet stays in the database. */
  async stop() {
    this.#stopped = true;
    this.#options.connection.clock.clearTimeout(this.#timer);
    await this.#looking;
    await this.#end();
  }

  /** @param {import("./kept.js").KeptClient} kept */
  #adopt(kept) {
    const { connection: options, limits, version, answerTimeoutMs } = this.#options;
    const ops = new Ops(limits, options.clock, () => this.#changed());
    const connection = new Connection(options, {
      ready: () => Promise.resolve(),
      params: (token) => ({ token, client: kept.client, version }),
      hello: ({ now }) => ops.setClock(now),
      up: ({ client, user }, rpc) => {
        // They are for their own user to send, whenever that one comes back.
        if (kept.user !== undefined && kept.user !== user) void this.#leave(kept.key);
        else ops.attach(rpc, { client, user });
      },
      down: () => ops.detach(),
      drain: () => ops.detach(),
      free: () => ops.free(),
      notification: () => {},
      state: ({ state }) => state === "closed" && void this.#leave(kept.key),
      rtt: () => {},
      message: () => {},
      error: this.#hooks.failed,
    });
    const unwatch = watchAnswers(options.clock, answerTimeoutMs, ops, connection);
    this.#adopted = { kept, ops, connection, unwatch };
    ops.keepIn(kept, this.#hooks.failed);
    connection.open();
  }

  #changed() {
    this.#hooks.changed();
    if (this.#adopted?.ops.count !== 0) return;
    this.#adopted.kept.discard();
    this.#end().then(() => this.look());
  }

  /** @param {string} key */
  async #leave(key) {
    if (this.#adopted?.kept.key !== key) return;
    this.#left.add(key);
    await this.#end();
    this.look();
  }

  async #end() {
    const adopted = this.#adopted;
    if (!adopted) return;
    this.#adopted = null;
    const { kept, ops, connection, unwatch } = adopted;
    const closed = new GreenroomError("closed", "the client was closed");
    unwatch();
    connection.close(closed);
    ops.close(closed);
    await kept.close();
    this.#hooks.changed();
  }
}
