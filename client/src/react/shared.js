/**
 * Something that several components use at once: opened for the first, closed after the last.
 * @typedef {object} Source
 * @property {(listener: () => void) => () => void} subscribe
 * @property {() => any} getSnapshot
 * @property {string} status
 * @property {() => void} close
 */

/** @typedef {{source: any, users: number}} Entry */

/** @type {WeakMap<object, Map<string, Entry>>} by client */
const open = new WeakMap();

/**
 * The handle that one component has on what all components with the same `key` share. Nothing is opened before `subscribe`, which
 * React calls once a component is mounted.
 * @param {object} client
 * @param {string} key
 * @param {() => Source} make
 */
export function openShared(client, key, make) {
  const entries = open.get(client) ?? new Map();
  open.set(client, entries);
  return {
    /** What is open at the moment. */
    get current() {
      return entries.get(key)?.source;
    },
    /** @param {() => void} listener */
    subscribe(listener) {
      let entry = entries.get(key);
      // What was refused is asked for again by who comes later.
      if (!entry || (entry.source.status === "closed" && entry.users === 0)) entries.set(key, (entry = { source: make(), users: 0 }));
      entry.users += 1;
      const off = entry.source.subscribe(listener);
      return () => {
        off();
        entry.users -= 1;
        // In strict mode React subscribes, unsubscribes and subscribes again, all in one go.
        queueMicrotask(() => {
          if (entry.users > 0 || entries.get(key) !== entry) return;
          entries.delete(key);
          entry.source.close();
        });
      };
    },
  };
}
