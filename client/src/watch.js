import { GreenroomError } from "./errors.js";

/**
 * An op that is never answered on a connection that lives: the next connection may do better, and a repeat is safe.
 * @param {import("./types.js").Clock} clock
 * @param {number} answerTimeoutMs
 * @param {{readonly oldestSentAt: number}} ops
 * @param {{restart: (error: GreenroomError) => void}} connection
 * @returns {() => void} ends the watch
 */
export function watchAnswers(clock, answerTimeoutMs, ops, connection) {
  const every = answerTimeoutMs / 2;
  const look = () => {
    timer = clock.setTimeout(look, every);
    const late = clock.monotonic() - ops.oldestSentAt >= answerTimeoutMs;
    if (late) connection.restart(new GreenroomError("timeout", "an op was not answered in time"));
  };
  let timer = clock.setTimeout(look, every);
  return () => clock.clearTimeout(timer);
}
