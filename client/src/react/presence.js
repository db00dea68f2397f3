/** @typedef {import("../../types/greenroom.js").Client} Client */

/** Before anything is known. */
export const NOBODY = Object.freeze({ members: null, count: 0, error: null });

/**
 * Who is in an entity, as one value that changes.
 * @param {Client} client
 * @param {string} id
 */
export function watchPresence(client, id) {
  const subscription = client.entity(id).subscribe({ presence: true, events: "none", signals: "none" });
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {{members: any, count: number, error: any}} */
  let snapshot = NOBODY;
  const set = (/** @type {typeof snapshot} */ next) => {
    snapshot = Object.freeze(next);
    for (const listener of [...listeners]) listener();
  };
  subscription.on("presence", ({ members, count }) => set({ members, count, error: null }));
  subscription.on("close", (error) => error && set({ ...snapshot, error }));
  return {
    getSnapshot: () => snapshot,
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get status() {
      return subscription.state;
    },
    close: () => subscription.close(),
  };
}

/**
 * @typedef {object} Here
 * @property {{meta: string}[]} wishes of the components that are mounted; the last one counts
 * @property {string | null} meta as which the user is here
 */

/** @type {WeakMap<Client, Map<string, Here>>} by entity */
const everywhere = new WeakMap();

/**
 * The user is here as `meta`; the returned function takes that back.
 * @param {Client} client
 * @param {string} id
 * @param {string} meta
 * @param {(error: unknown) => void} refused
 */
export function enter(client, id, meta, refused) {
  const entities = everywhere.get(client) ?? new Map();
  everywhere.set(client, entities);
  /** @type {Here} */
  const here = entities.get(id) ?? { wishes: [], meta: null };
  entities.set(id, here);
  const wish = { meta };
  const look = () => {
    const wanted = here.wishes.at(-1)?.meta ?? null;
    if (wanted === here.meta) return;
    here.meta = wanted;
    const { presence } = client.entity(id);
    if (wanted === null) presence.leave().catch(() => {});
    else presence.enter(JSON.parse(wanted)).catch(refused);
  };
  here.wishes.push(wish);
  look();
  return () => {
    here.wishes.splice(here.wishes.indexOf(wish), 1);
    // In strict mode React unmounts and mounts again in one go.
    queueMicrotask(look);
  };
}
