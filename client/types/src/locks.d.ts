/**
 * Takes a Web Lock and holds it until the returned function is called, or the page is gone however it went.
 * @param {import("./dom.js").Locks} locks
 * @param {string} name
 * @param {number} [waitMs] how long to wait for another owner to go; at once when left out
 * @returns {Promise<(() => void) | null>} null: somebody else holds it
 */
export declare function own(locks: import("./dom.js").Locks, name: string, waitMs?: number): Promise<(() => void) | null>;
