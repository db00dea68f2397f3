/**
 * The document behaviour's ops, as the page applies them to its own copy: each takes a JSON value and returns the new one,
 * leaving the old one as it was. They throw where the server would have rejected.
 */

/**
 * @param {any} state
 * @param {string} type
 * @param {any} body
 * @returns {any}
 */
export function applyOp(state, type, body) {
  if (type === "merge") return merge(state, body);
  if (type === "set") return set(state, body.path, body.value);
  if (type === "patch") return patch(state, body);
  if (type === "increment") return increment(state, body.path, body.by);
  throw new Error(`unknown op \`${type}\``);
}

/**
 * RFC 7386.
 * @param {any} target
 * @param {any} change
 * @returns {any}
 */
function merge(target, change) {
  if (!isObject(change)) return change;
  const result = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key];
    else put(result, key, merge(own(result, key), value));
  }
  return result;
}

/**
 * RFC 6902: all of it or nothing.
 * @param {any} state
 * @param {{op: string, path: string, from?: string, value?: any}[]} operations
 */
function patch(state, operations) {
  let result = structuredClone(state);
  for (const { op, path, from = "", value } of operations) {
    if (op === "add") result = add(result, path, value);
    else if (op === "remove") result = remove(result, path);
    else if (op === "replace") result = add(path === "" ? result : remove(result, path), path, value);
    else if (op === "move") {
      const moved = get(result, from);
      result = add(remove(result, from), path, moved);
    } else if (op === "copy") result = add(result, path, structuredClone(get(result, from)));
    else if (op !== "test") throw new Error(`unknown patch operation \`${op}\``);
  }
  return result;
}

/**
 * Replaces what is there, an element of an array as well, or adds what is not.
 * @param {any} state
 * @param {string} path
 * @param {any} value
 */
function set(state, path, value) {
  if (path === "") return value;
  const result = structuredClone(state);
  const { parent, key } = locate(result, path);
  if (!Array.isArray(parent)) put(parent, key, value);
  else {
    const index = key === "-" ? parent.length : Number(key);
    if (!(index <= parent.length)) throw new Error(`the array has no place \`${path}\``);
    parent[index] = value;
  }
  return result;
}

/**
 * @param {any} state
 * @param {string} path
 * @param {number} by
 */
function increment(state, path, by) {
  const result = structuredClone(state);
  const { parent, key } = locate(result, path);
  const before = parent[key] ?? 0;
  if (typeof before !== "number") throw new Error(`\`${path}\` is no number`);
  put(parent, key, before + by);
  return result;
}

/** @param {any} root @param {string} path @param {any} value */
function add(root, path, value) {
  if (path === "") return value;
  const { parent, key } = locate(root, path);
  if (Array.isArray(parent)) parent.splice(key === "-" ? parent.length : Number(key), 0, value);
  else put(parent, key, value);
  return root;
}

/** @param {any} root @param {string} path */
function remove(root, path) {
  get(root, path);
  const { parent, key } = locate(root, path);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return root;
}

/** @param {any} root @param {string} path */
function get(root, path) {
  if (path === "") return root;
  const { parent, key } = locate(root, path);
  if (!Object.hasOwn(parent, key)) throw new Error(`there is nothing at \`${path}\``);
  return parent[key];
}

/**
 * @param {any} root
 * @param {string} path a JSON Pointer that is not the whole document
 * @returns {{parent: any, key: string}}
 */
function locate(root, path) {
  const keys = path.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const key = keys.pop() ?? "";
  let parent = root;
  for (const step of keys) {
    parent = own(parent, step);
    if (typeof parent !== "object" || parent === null) throw new Error(`there is nothing at \`${path}\``);
  }
  if (typeof parent !== "object" || parent === null) throw new Error(`there is nothing at \`${path}\``);
  return { parent, key };
}

/** @param {any} object @param {string} key */
const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);

/** Sets a member even if it is called `__proto__`. @param {any} object @param {string} key @param {any} value */
const put = (object, key, value) => Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });

/** @param {any} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
