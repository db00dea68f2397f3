/**
 * `new Promise`, for what an app need not wait for: when the client is closed, which is the app's own wish, a promise that
 * nobody waits for is no unhandled rejection.
 * @template T
 * @param {(resolve: (value: T) => void, reject: (error: import("./errors.js").GreenroomError) => void) => void} run
 * @returns {Promise<T>}
 */
export function promised(run) {
  /** @type {Promise<T>} */
  const promise = new Promise((resolve, reject) => {
    run(resolve, (error) => {
      // `run` may refuse at once, when there is no `promise` yet.
      if (error.code === "closed") queueMicrotask(() => promise.catch(() => {}));
      reject(error);
    });
  });
  return promise;
}
