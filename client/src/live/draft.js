import { frozen, isObject, own, put } from "./frozen.js";

/** An op that cannot be applied: the server would refuse it, or has another state than we believe. */
export class Refused extends Error {}

/** @param {string} why @returns {never} */
export function refuse(why) {
  throw new Refused(why);
}

/**
 * A document while an op changes it. What is touched is copied once, and the rest is shared with the document before. Places are
 * JSON Pointers, already split (`tokens`).
 */
export class Draft {
  /** @type {Set<any>} arrays and objects that this draft has made, and may still change */
  #fresh = new Set();
  /** @type {Set<any>} of those, objects that have got a new member */
  #grown = new Set();
  #root;

  /** @param {any} root */
  constructor(root) {
    this.#root = root;
  }

  /** The changed document, frozen. */
  finish() {
    this.#settle();
    return this.#root;
  }

  /** @param {string[]} at @returns {any} undefined where there is nothing */
  get(at) {
    return at.reduce((node, token) => child(node, token), this.#root);
  }

  /**
   * Puts `value` at a place: the root and an object's member are replaced; in an array it is inserted, or replaces what is there.
   * @param {string[]} at
   * @param {any} value which nobody changes afterwards
   * @param {"insert" | "replace"} inArray
   */
  put(at, value, inArray) {
    const token = at.at(-1);
    if (token === undefined) return void (this.#root = value);
    const above = this.#open(at.slice(0, -1));
    if (Array.isArray(above)) {
      const index = token === "-" ? above.length : indexOf(token);
      if (index === undefined || index > above.length) refuse(`the array has no index \`${token}\``);
      above.splice(index, inArray === "replace" && index < above.length ? 1 : 0, value);
    } else {
      if (!Object.hasOwn(above, token)) this.#grown.add(above);
      put(above, token, value);
    }
  }

  /** @param {string[]} at @returns {any} what was there */
  remove(at) {
    const token = at.at(-1);
    if (token === undefined) refuse("the whole document can be replaced, not removed");
    const old = this.get(at);
    if (old === undefined) refuse(`there is nothing at \`${token}\``);
    const above = this.#open(at.slice(0, -1));
    if (Array.isArray(above)) above.splice(Number(token), 1);
    else delete above[token];
    return old;
  }

  /** @param {string[]} at @param {any} value */
  replace(at, value) {
    if (this.get(at) === undefined) refuse("there is nothing to replace");
    this.put(at, value, "replace");
  }

  /** What is at a place, to be put at another one as well: from now on it is shared. @param {string[]} at */
  share(at) {
    const node = this.get(at);
    if (node === undefined) refuse("there is nothing to copy");
    this.#settle();
    return node;
  }

  /**
   * RFC 7386, into the whole document.
   * @param {any} change
   */
  merge(change) {
    this.#root = merged(this.#root, change);
  }

  /** The array or object at a place, ready to be changed. @param {string[]} at */
  #open(at) {
    const found = this.get(at);
    if (found === null || typeof found !== "object") refuse("there is neither an object nor an array to put it in");
    let node = (this.#root = this.#mine(this.#root));
    for (const token of at) {
      const below = this.#mine(child(node, token));
      if (Array.isArray(node)) node[Number(token)] = below;
      else put(node, token, below);
      node = below;
    }
    return node;
  }

  /** @param {any} node */
  #mine(node) {
    if (this.#fresh.has(node)) return node;
    const copy = Array.isArray(node) ? [...node] : members(node, Object.keys(node));
    this.#fresh.add(copy);
    return copy;
  }

  #settle() {
    for (const object of this.#grown) {
      const sorted = inOrder(Object.keys(object));
      const values = sorted.map((key) => object[key]);
      for (const key of sorted) delete object[key];
      sorted.forEach((key, index) => put(object, key, values[index]));
    }
    for (const node of this.#fresh) Object.freeze(node);
    this.#grown.clear();
    this.#fresh.clear();
  }
}

/**
 * A value as it stands in a document: frozen, with members in the server's order.
 * @param {any} value
 */
export const documentValue = (value) => frozen(value, inOrder);

/** @param {any} node @param {string} token */
function child(node, token) {
  if (Array.isArray(node)) {
    const index = indexOf(token);
    return index === undefined ? undefined : node[index];
  }
  return isObject(node) ? own(node, token) : undefined;
}

/** @param {string} token */
const indexOf = (token) => (/^(0|[1-9][0-9]*)$/.test(token) ? Number(token) : undefined);

/**
 * @param {any} target
 * @param {any} change
 * @returns {any}
 */
function merged(target, change) {
  if (!isObject(change)) return documentValue(change);
  const base = isObject(target) ? target : {};
  const removed = new Set(Object.keys(change).filter((key) => change[key] === null));
  const added = Object.keys(change).filter((key) => !removed.has(key) && !Object.hasOwn(base, key));
  const kept = Object.keys(base).filter((key) => !removed.has(key));
  /** @type {any} */
  const result = {};
  for (const key of added.length > 0 ? inOrder([...kept, ...added]) : kept) {
    put(result, key, Object.hasOwn(change, key) ? merged(own(base, key), change[key]) : base[key]);
  }
  return Object.freeze(result);
}

/** @param {any} object @param {string[]} keys */
function members(object, keys) {
  const copy = {};
  for (const key of keys) put(copy, key, object[key]);
  return copy;
}

/** The server sorts members by their UTF-8 text, which is the order of code points. @param {string[]} keys */
const inOrder = (keys) => (keys.some((key) => /[\ud800-\udfff]/.test(key)) ? keys.sort(compareCodePoints) : keys.sort());

/** @param {string} a @param {string} b */
function compareCodePoints(a, b) {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < x.length && i < y.length; i += 1) {
    const difference = Number(x[i]?.codePointAt(0)) - Number(y[i]?.codePointAt(0));
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
