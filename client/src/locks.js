/**
 * Takes a Web Lock and holds it until the returned function is called, or the page is gone however it went.
 * @param {import("./dom.js").Locks} locks
 * @param {string} name
 * @param {number} [waitMs] how long to wait for another owner to go; at once when left out
 * @returns {Promise<(() => void) | null>} null: somebody else holds it
 */
export function own(locks, name, waitMs) {
  return new Promise((resolve, reject) => {
    const options = waitMs === undefined ? { ifAvailable: true } : { signal: AbortSignal.timeout(waitMs) };
    const held = locks.request(name, options, (lock) => (lock ? new Promise((release) => resolve(() => release(undefined))) : resolve(null)));
    held.catch((error) => (error?.name === "TimeoutError" || error?.name === "AbortError" ? resolve(null) : reject(error)));
  });
}
