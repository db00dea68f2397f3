import { GreenroomError } from "./errors.js";
/**
 * An op that is never answered on a connection that lives: the next connection may do better, and a repeat is safe.
 * @param {import("./types.js").Clock} clock
 * @param {number} answerTimeoutMs
 * @param {{readonly oldestSentAt: number}} ops
 * @param {{restart: (error: GreenroomError) => void}} connection
 * @returns {() => void} ends the watch
 */
export declare function watchAnswers(clock: import("./types.js").Clock, answerTimeoutMs: number, ops: {
    readonly oldestSentAt: number;
}, connection: {
    restart: (error: GreenroomError) => void;
}): () => void;
