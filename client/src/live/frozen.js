/**
 * JSON values that nobody can change: a state is handed to the app as it is, and two states share what they have in common.
 */

/**
 * A copy of a JSON value, frozen all the way down.
 * @template T
 * @param {T} value
 * @param {(keys: string[]) => string[]} [ordered] the order in which an object's members come
 * @returns {T}
 */
export function frozen(value, ordered = (keys) => keys) {
  /** @type {(value: any) => any} */
  const copy = (value) => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return Object.freeze(value.map(copy));
    /** @type {any} */
    const object = {};
    for (const key of ordered(Object.keys(value))) put(object, key, copy(value[key]));
    return Object.freeze(object);
  };
  return copy(value);
}

/**
 * Sets a member of its own, also one that is called `__proto__`.
 * @param {any} object
 * @param {string} key
 * @param {any} value
 */
export function put(object, key, value) {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

/**
 * What `object` itself has, and not what every object has.
 * @param {any} object
 * @param {string} key
 */
export const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);

/** @param {any} value @returns {value is Record<string, any>} */
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
