/**
 * What outlives a reload: the client id, under which user it was used, the next number, and the ops without an answer.
 * @typedef {object} Saved
 * @property {string} client
 * @property {string} user
 * @property {number} nextN
 * @property {import("./op.js").LeftOp[]} ops
 */

const KEY = "greenroom.client";

/**
 * Takes the record out of the storage. It is taken, not read, because a browser copies `sessionStorage` when a tab is
 * duplicated: two pages with the same client id would give two ops the same number, and the second would be lost as a repeat.
 * @param {import("./types.js").StorageLike} storage
 * @returns {Saved | null}
 */
export function take(storage) {
  try {
    const text = storage.getItem(KEY);
    storage.removeItem(KEY);
    const saved = text ? JSON.parse(text) : null;
    return saved && typeof saved.client === "string" && Number.isSafeInteger(saved.nextN) && Array.isArray(saved.ops) ? saved : null;
  } catch {
    // Storage may be forbidden, or hold something else: a new client id costs nothing.
    return null;
  }
}

/**
 * @param {import("./types.js").StorageLike} storage
 * @param {Saved | null} saved
 */
export function put(storage, saved) {
  if (!saved) return;
  try {
    storage.setItem(KEY, JSON.stringify(saved));
  } catch {
    // Full or forbidden: as if storage had not been asked for.
  }
}
