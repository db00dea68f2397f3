/** The schema's version; `migrate` brings an older database up to it. */
const VERSION = 1;
const OPEN_MS = 5_000;

/**
 * A client id with the numbers it may still use, and whose it is. `client` and `user` are absent until a server has named them.
 * @typedef {object} ClientRow
 * @property {string} key also part of the name of the lock that its owner holds
 * @property {string} url the server's address: its client ids mean nothing elsewhere
 * @property {string} [client]
 * @property {string} [user]
 * @property {number} nextN every number below this may have been used
 * @property {number} usedAt when a page last took it
 * @property {number | null} [connectedAt] the server's time at the first connection over which ops were sent that were put down before
 *   it; null where the server did not tell it
 */

/**
 * An op. `firstSent` is the server's time when it was put down, null when that was not known; it and `tag` are absent in rows of an
 * older version.
 * @typedef {{key: string, n: number, entity: string, type: string, body: any, ifSeq?: number, tag?: string, firstSent?: number | null, bytes: number, at: number}} OpRow
 */

/**
 * @param {import("./dom.js").Database} db
 * @param {number} from the version that is there, 0 for none
 */
function migrate(db, from) {
  if (from < 1) {
    db.createObjectStore("clients", { keyPath: "key" });
    db.createObjectStore("ops", { keyPath: ["key", "n"] }).createIndex("key", "key");
  }
}

/**
 * Opens the database, or rejects when that takes too long: another page with an older schema may hold it open.
 * @param {import("./dom.js").Factory} factory
 * @param {string} name
 * @param {import("./types.js").Clock} clock
 * @returns {Promise<import("./dom.js").Database>}
 */
export function openDatabase(factory, name, clock) {
  return new Promise((resolve, reject) => {
    const request = factory.open(name, VERSION);
    let late = false;
    const timer = clock.setTimeout(() => {
      late = true;
      reject(new Error(`the database \`${name}\` did not open within ${OPEN_MS} ms`));
    }, OPEN_MS);
    request.onupgradeneeded = ({ oldVersion }) => migrate(request.result, oldVersion);
    request.onsuccess = () => {
      clock.clearTimeout(timer);
      if (late) request.result.close();
      else resolve(request.result);
    };
    request.onerror = () => {
      clock.clearTimeout(timer);
      reject(request.error);
    };
  });
}

/**
 * One transaction over both stores. Resolves when it is on disk (`strict`: a number that was sent must not be used again after a
 * power cut either), with what the function that `work` returned then gives.
 * @template T
 * @param {import("./dom.js").Database} db
 * @param {"readonly" | "readwrite"} mode
 * @param {(clients: import("./dom.js").ObjectStore, ops: import("./dom.js").ObjectStore) => () => T} work
 * @returns {Promise<T>}
 */
export function transact(db, mode, work) {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(["clients", "ops"], mode, { durability: "strict" });
    const result = work(transaction.objectStore("clients"), transaction.objectStore("ops"));
    transaction.oncomplete = () => resolve(result());
    transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
  });
}
