import { GreenroomError } from "./errors.js";

// The server takes messages of 64 levels; the envelope and its params are two of them.
const MAX_DEPTH = 62;
/** What is sent within `connect` lies deeper. */
export const MAX_META_DEPTH = 60;

/**
 * A copy of what an app wants to send, as JSON. What the server would refuse is refused here: a message that it cannot read
 * is one that it cannot answer.
 * @param {any} body
 * @param {number} [maxDepth]
 * @returns {any} the copy, or a `GreenroomError` that says what is wrong
 */
export function jsonBody(body, maxDepth = MAX_DEPTH) {
  try {
    const text = JSON.stringify(body ?? null, finite);
    const copy = JSON.parse(text ?? "null");
    check(copy, maxDepth);
    return copy;
  } catch (cause) {
    return cause instanceof GreenroomError ? cause : invalid("the body is not a JSON value", cause);
  }
}

/** @param {string} text */
export const byteLength = (text) => new TextEncoder().encode(text).length;

/**
 * `JSON.stringify` makes null of what is not a number, which nobody meant.
 * @param {string} key
 * @param {any} value
 */
function finite(key, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw invalid(`the number at \`${key}\` is not finite`);
  return value;
}

/**
 * @param {any} value
 * @param {number} levels how many it may still have
 */
function check(value, levels) {
  if (typeof value === "string") return checkText(value);
  if (value === null || typeof value !== "object") return;
  if (levels === 0) throw invalid("the body is nested too deep: a message has at most 64 levels");
  if (Array.isArray(value)) {
    for (const item of value) check(item, levels - 1);
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    checkText(key);
    check(item, levels - 1);
  }
}

/** @param {string} text */
function checkText(text) {
  if (/\p{Surrogate}/u.test(text)) throw invalid("a text in the body has half a surrogate pair, which is not Unicode");
}

/**
 * @param {string} message
 * @param {unknown} [cause]
 */
function invalid(message, cause) {
  return new GreenroomError("invalid_argument", message, { cause });
}
