import { refuse } from "./draft.js";
import { frozen, isObject, own, put } from "./frozen.js";

/**
 * What the behaviour `room` does to its messages, as the server does it (actors/src/behaviour/room). Pure: lists and messages are
 * frozen, and a change makes a new list.
 */

/** @typedef {import("../../types/greenroom.js").LiveMessage} Message */
/** @typedef {import("../../types/greenroom.js").Event} Event */
/** @typedef {readonly Message[]} Messages ascending by seq; what is not confirmed comes last and has no seq */

/** @param {any} snapshot @param {Messages} known messages of the same log, which keep their keys @returns {Messages} */
export function messagesFrom(snapshot, known) {
  const keys = new Map(known.map(({ seq, key }) => [seq, key]));
  const messages = Array.isArray(snapshot?.messages) ? snapshot.messages : [];
  return Object.freeze(messages.map((/** @type {any} */ message) => frozen({ ...message, key: keys.get(message.seq) ?? String(message.seq) })));
}

/**
 * @param {Messages} messages
 * @param {Event} event
 * @returns {Messages}
 */
export function applyEvent(messages, event) {
  if (event.type === "post") return Object.freeze([...messages, posted(event)]);
  const target = targetOf(event);
  const place = target === null ? -1 : placeOf(messages, target);
  const message = messages[place];
  return message ? withMessage(messages, place, changed(message, event)) : messages;
}

/** @param {Event} event @returns {Message} */
export function posted({ seq, at, from, body, deleted, tag, own }) {
  const key = own && tag !== undefined ? tag : String(seq);
  return Object.freeze(deleted ? { seq, at, from, body: null, deleted, key } : { seq, at, from, body: frozen(body), key });
}

/** Which message an event changes; null when that is not known any more: its body was deleted with the message's. @param {Event} event */
export function targetOf({ type, body }) {
  return type !== "post" && Number.isInteger(body?.seq) ? /** @type {number} */ (body.seq) : null;
}

/**
 * The message after an event that names it. What is deleted stays so.
 * @param {Message} message
 * @param {Pick<Event, "type" | "body" | "from" | "at">} event
 * @returns {Message}
 */
export function changed(message, { type, body, from, at }) {
  if (message.deleted) return message;
  if (type === "edit") return Object.freeze({ ...message, body: frozen(body.body), edited_at: at });
  if (type === "delete" || type === "purge") {
    const { reactions: _, ...rest } = message;
    return Object.freeze({ ...rest, body: null, deleted: /** @type {const} */ (true) });
  }
  if (type === "react") return reacted(message, body.emoji, from, body.remove === true);
  return message;
}

/**
 * An own op as it will look when the server accepts it.
 * @param {Messages} messages
 * @param {{type: string, body: any, key: string, from: string, at: number, restored: boolean}} op
 * @returns {Messages} throws `Refused` where the server would reject it
 */
export function showOp(messages, { type, body, key, from, at, restored }) {
  if (!isObject(body)) refuse("the body is not an object");
  if (type === "post") {
    const left = restored ? { restored: /** @type {const} */ (true) } : {};
    const message = { seq: null, at, from, body: frozen(body), key, pending: /** @type {const} */ (true), ...left };
    return Object.freeze([...messages, Object.freeze(message)]);
  }
  if (!["edit", "delete", "purge", "react"].includes(type)) refuse(`a room's ops are \`post\`, \`edit\`, \`delete\`, \`purge\` and \`react\``);
  if (type === "edit" && !isObject(body.body)) refuse("a message's body is an object");
  if (type === "react" && (typeof body.emoji !== "string" || body.emoji === "")) refuse("a reaction needs an emoji");
  const place = placeOf(messages, body.seq);
  const message = messages[place];
  if (!message || message.deleted) return refuse("there is no such message, or it is deleted");
  const after = changed(message, { type, body, from, at });
  return after === message ? messages : withMessage(messages, place, Object.freeze({ ...after, pending: /** @type {const} */ (true) }));
}

/**
 * The latest `limit` messages.
 * @param {Messages} messages
 * @param {number} limit
 * @returns {Messages}
 */
export function latest(messages, limit) {
  return messages.length > limit ? Object.freeze(messages.slice(messages.length - limit)) : messages;
}

/** @param {Message} message @param {string} emoji @param {string} user @param {boolean} remove @returns {Message} */
function reacted(message, emoji, user, remove) {
  const before = message.reactions ?? {};
  const users = own(before, emoji) ?? [];
  if (users.includes(user) !== remove) return message;
  const after = remove ? users.filter((/** @type {string} */ one) => one !== user) : [...users, user];
  /** @type {Record<string, readonly string[]>} */
  const reactions = {};
  for (const [known, who] of Object.entries(before)) {
    const left = known === emoji ? after : who;
    if (left.length > 0) put(reactions, known, left);
  }
  if (!Object.hasOwn(before, emoji)) put(reactions, emoji, after);
  const { reactions: _, ...rest } = message;
  return Object.freeze(Object.keys(reactions).length > 0 ? { ...rest, reactions: frozen(reactions) } : rest);
}

/** @param {Messages} messages @param {number} place @param {Message} message @returns {Messages} */
function withMessage(messages, place, message) {
  if (messages[place] === message) return messages;
  const next = [...messages];
  next[place] = message;
  return Object.freeze(next);
}

/** @param {Messages} messages @param {number} seq */
export function placeOf(messages, seq) {
  let [low, high] = [0, messages.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    // What has no seq yet comes after all that have one.
    const found = messages[middle]?.seq ?? Infinity;
    if (found === seq) return middle;
    if (found < seq) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
