import { Draft, documentValue, refuse } from "./draft.js";
import { isObject } from "./frozen.js";

/**
 * What the behaviour `document` does to a state, as the server does it (actors/src/behaviour/document). Pure: states are frozen, and
 * each op makes a new one that shares what it left alone.
 */

/** @param {any} snapshot */
export const documentFrom = (snapshot) => documentValue(snapshot);

/**
 * @param {any} state
 * @param {string} type
 * @param {any} body
 * @returns {any} the state after it; throws `Refused` where the server would reject the op
 */
export function changeDocument(state, type, body) {
  const draft = new Draft(state);
  if (type === "merge") draft.merge(body);
  else if (type === "set") set(draft, body);
  else if (type === "increment") increment(draft, body);
  else if (type === "patch") patch(draft, body);
  else refuse(`a document's ops are \`patch\`, \`merge\`, \`increment\` and \`set\`, not \`${type}\``);
  return draft.finish();
}

/** @param {Draft} draft @param {any} body */
function set(draft, body) {
  if (!isObject(body) || !("value" in body)) refuse('the body must look like {"path": "/a", "value": …}');
  draft.put(tokensOf(body.path), documentValue(body.value), "replace");
}

/** @param {Draft} draft @param {any} body */
function increment(draft, body) {
  if (!isObject(body) || typeof body.by !== "number") refuse('the body must look like {"path": "/likes", "by": 1}');
  const at = tokensOf(body.path);
  const old = draft.get(at);
  if (old === undefined && (at.length === 0 || !isObject(draft.get(at.slice(0, -1))))) refuse("there is no object to count in");
  if (old !== undefined && typeof old !== "number") refuse(`there is no number at \`${body.path}\``);
  const sum = (old ?? 0) + body.by;
  if (!Number.isFinite(sum)) refuse("the sum is beyond what a number holds");
  draft.put(at, sum, "replace");
}

/** RFC 6902: all of it or nothing. @param {Draft} draft @param {any} operations */
function patch(draft, operations) {
  if (!Array.isArray(operations)) refuse("the body is not a JSON Patch");
  for (const operation of operations) {
    if (!isObject(operation)) refuse("the body is not a JSON Patch");
    const at = tokensOf(operation.path);
    const perform = OPERATIONS.get(operation.op) ?? refuse(`\`${operation.op}\` is not an operation of JSON Patch`);
    perform(draft, at, operation);
  }
}

/** @type {Map<string, (draft: Draft, at: string[], operation: any) => void>} */
const OPERATIONS = new Map([
  ["add", (draft, at, operation) => draft.put(at, valueOf(operation), "insert")],
  ["remove", (draft, at) => void draft.remove(at)],
  ["replace", (draft, at, operation) => draft.replace(at, valueOf(operation))],
  ["copy", (draft, at, operation) => draft.put(at, draft.share(tokensOf(operation.from)), "insert")],
  ["move", move],
  ["test", (draft, at, operation) => void (same(draft.get(at), valueOf(operation)) || refuse(`\`${operation.path}\` has another value`))],
]);

/** @param {Draft} draft @param {string[]} to @param {any} operation */
function move(draft, to, { from: text }) {
  const from = tokensOf(text);
  if (to.length > from.length && from.every((token, index) => to[index] === token)) refuse(`\`${text}\` cannot move into itself`);
  draft.put(to, draft.remove(from), "insert");
}

/** @param {any} operation */
function valueOf(operation) {
  if (!("value" in operation)) refuse(`\`${operation.op}\` needs a \`value\``);
  return documentValue(operation.value);
}

/** @param {unknown} path a JSON Pointer */
function tokensOf(path) {
  if (typeof path !== "string" || (path !== "" && !path.startsWith("/")) || /~(?![01])/.test(path)) refuse(`\`${path}\` is not a JSON Pointer`);
  return path.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** RFC 6902's equality: objects without order. @param {any} a @param {any} b @returns {boolean} */
function same(a, b) {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => same(item, b[index]));
  if (!isObject(a)) return a === b;
  const keys = Object.keys(a);
  return isObject(b) && keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}
