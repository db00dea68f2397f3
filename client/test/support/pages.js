import { IDBFactory } from "fake-indexeddb";
import { indexedDbStorage } from "../../greenroom.js";
import { Locks } from "./locks.js";
import { story } from "./story.js";

export class MemoryStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, value);
  removeItem = (key) => void this.items.delete(key);
}

/** A server, a clock, and one browser: a database and locks that all its pages share. */
export async function browser(t) {
  const all = await story(t);
  const [indexedDB, locks] = [new IDBFactory(), new Locks()];
  const errors = [];
  return {
    ...all,
    indexedDB,
    locks,
    errors,
    /** A storage as a new page would have it. */
    storage: (options = {}) => indexedDbStorage({ indexedDB, locks: locks.page(), session: null, ...options }),
    /** A page with a client. */
    page(options = {}, connectOptions = {}) {
      const tab = locks.page();
      const client = all.connect({ storage: indexedDbStorage({ indexedDB, locks: tab, session: null, ...options }), ...connectOptions });
      client.on("error", (error) => errors.push(error));
      return client;
    },
    /** What a page that lived before has left: it was known as `client` and `user`, put the ops down, and is gone. */
    async left({ client, user = "ann", ops, url = all.server.url }) {
      const tab = locks.page();
      const store = await indexedDbStorage({ indexedDB, locks: tab, session: null }).open(url, all.clock, (error) => errors.push(error));
      const kept = store.own;
      const sent = ops.map((op) => ({ ...op, n: kept.number() }));
      const written = [...sent.map((op) => new Promise((resolve) => kept.put(op, resolve)))];
      if (client) written.push(new Promise((resolve) => kept.identify({ client, user }, resolve)));
      await Promise.all(written);
      tab.crash();
      return { key: kept.key, numbers: sent.map(({ n }) => n) };
    },
    /** All rows of a store. */
    rows: (name) =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("greenroom");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const reading = opening.result.transaction(name).objectStore(name).getAll();
          reading.onsuccess = () => {
            opening.result.close();
            resolve(reading.result);
          };
        };
      }),
  };
}
