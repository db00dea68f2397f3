/**
 * `new Promise`, for what an app need not wait for: when the client is closed, which is the app's own wish, a promise that
 * nobody waits for is no unhandled rejection.
 * @template T
 * @param {(resolve: (value: T) => void, reject: (error: import("./errors.js").GreenroomError) => void) => void} run
 * @returns {Promise<T>}
 */
export declare function promised<T>(run: (resolve: (value: T) => void, reject: (error: import("./errors.js").GreenroomError) => void) => void): Promise<T>;
