/** Random ops for documents and rooms: most are accepted, many touch the same places, and some are nonsense. */

const KEYS = ["a", "b", "c", "list", "0", "-", "a/b~\"é", "\ufffd", "👍", "__proto__", "constructor"];
const TOKENS = ["a", "a", "b", "c", "list", "list", "0", "1", "2", "-", "01", "a~1b~0\"é", "__proto__", "constructor"];

const times = (count, make) => Array.from({ length: count }, make);

function scalar(dice) {
  return dice.of([null, true, false, "", "text", "é👍", dice.below(10) - 5, dice.below(100) / 8, 2 ** 53 - 1]);
}

export function value(dice, depth = 3) {
  const kind = depth === 0 ? 0 : dice.below(4);
  if (kind < 2) return scalar(dice);
  if (kind === 2) return times(dice.below(4), () => value(dice, depth - 1));
  const object = {};
  for (const key of times(dice.below(4), () => dice.of(KEYS))) Object.defineProperty(object, key, { value: value(dice, depth - 1), enumerable: true, configurable: true, writable: true });
  return object;
}

const path = (dice) => times(dice.below(40) === 0 ? 0 : 1 + dice.below(3), () => `/${dice.of(TOKENS)}`).join("");

function operation(dice) {
  const op = dice.of(["add", "add", "remove", "replace", "move", "copy", "test", "nonsense"]);
  const made = { op: op === "nonsense" && dice.below(3) > 0 ? "add" : op, path: path(dice), from: path(dice), value: value(dice, 2) };
  if (dice.below(40) === 0) delete made.value;
  return made;
}

/** `{type, body}` for a document. */
export function documentOp(dice) {
  const type = dice.of(["set", "set", "merge", "increment", "patch", "patch", "patch"]);
  if (type === "set") return { type, body: { path: dice.below(30) === 0 ? "no pointer~" : path(dice), value: value(dice) } };
  if (type === "merge") return { type, body: dice.below(20) === 0 ? value(dice) : { [dice.of(KEYS)]: value(dice), [dice.of(KEYS)]: value(dice) } };
  if (type === "increment") return { type, body: { path: path(dice), by: dice.of([1, -3, 0.5, 2 ** 53 - 1, 1e308]) } };
  return { type, body: times(1 + dice.below(3), () => operation(dice)) };
}

/** `{type, body}` for a room whose log has come to `seq`. */
export function roomOp(dice, seq) {
  const target = () => Math.max(1, seq - dice.below(25));
  const body = () => ({ text: "x".repeat(dice.below(40)), z: 1, a: value(dice, 2) });
  const type = dice.of(["post", "post", "post", "edit", "edit", "delete", "purge", "react", "react", "react", "react"]);
  if (type === "post") return { type, body: dice.below(20) === 0 ? "no object" : body() };
  if (type === "edit") return { type, body: { seq: target(), body: body() } };
  if (type === "react") return { type, body: { seq: target(), emoji: dice.of(["👍", "🎉", "1", "__proto__", "constructor"]), ...(dice.below(3) === 0 && { remove: true }) } };
  return { type, body: { seq: target() } };
}
