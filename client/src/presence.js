/** @typedef {(method: string, params: object, options?: {patient?: boolean}) => Promise<any>} Call */

/** @typedef {{meta: object | undefined, asking: boolean}} Entry `asking`: a call of its own is open, which will tell the server */

/**
 * Where the app wants to be present. A connection that took the place of the lost one (`resumed`) brings the presence of the
 * lost one along; then only what changed meanwhile is told. To any other connection the server knows nothing, and all is told.
 */
export class Presences {
  /** @type {Map<string, Entry>} where the app has entered */
  #wanted = new Map();
  /** @type {Set<string>} where the server may show this session; more than `#wanted` when a leave was not answered */
  #shown = new Set();
  /** @type {Set<string>} where a leave is under way, which will be made on the next connection too */
  #leaving = new Set();
  #call;
  #failed;

  /**
   * @param {Call} call
   * @param {(error: import("./errors.js").GreenroomError) => void} failed entering again was refused
   */
  constructor(call, failed) {
    this.#call = call;
    // Closing the client ends its calls; that is no news.
    this.#failed = (/** @type {import("./errors.js").GreenroomError} */ error) => void (error.code !== "closed" && failed(error));
  }

  /**
   * @param {string} entity
   * @returns {Promise<import("./types.js").PresenceList>}
   */
  list(entity) {
    return this.#call("presence", { entity, action: "list" });
  }

  /**
   * @param {string} entity
   * @param {object} [meta]
   * @returns {Promise<{count: number}>}
   */
  enter(entity, meta) {
    /** @type {Entry} */
    const entry = { meta, asking: false };
    this.#wanted.set(entity, entry);
    return this.#enter(entity, entry);
  }

  /**
   * @param {string} entity
   * @returns {Promise<{count: number}>}
   */
  leave(entity) {
    this.#wanted.delete(entity);
    return this.#leave(entity);
  }

  /**
   * There is a new connection, and calls that are still open have been made on it already.
   * @param {boolean} resumed
   */
  attach(resumed) {
    if (!resumed) this.#shown = new Set([...this.#wanted].filter(([, entry]) => entry.asking).map(([entity]) => entity));
    for (const entity of this.#shown) if (!this.#wanted.has(entity) && !this.#leaving.has(entity)) this.#correct(entity);
    for (const [entity, entry] of this.#wanted) if (!entry.asking && !this.#shown.has(entity)) this.#correct(entity);
  }

  /**
   * Tells the server what the app wants of this entity, for as long as it takes. The app may change its mind meanwhile, and what
   * was put off would come after what the app said later; so the last to be answered looks once more.
   * @param {string} entity
   */
  #correct(entity) {
    const entry = this.#wanted.get(entity);
    const told = entry ? this.#enter(entity, entry, { patient: true }) : this.#leave(entity, { patient: true });
    told.then(() => this.#wanted.get(entity) !== entry && this.#correct(entity), this.#failed);
  }

  /**
   * @param {string} entity
   * @param {{patient?: boolean}} [options]
   */
  async #leave(entity, options) {
    this.#leaving.add(entity);
    try {
      const result = await this.#call("presence", { entity, action: "leave" }, options);
      if (!this.#wanted.has(entity)) this.#shown.delete(entity);
      return result;
    } finally {
      this.#leaving.delete(entity);
    }
  }

  /**
   * @param {string} entity
   * @param {Entry} entry
   * @param {{patient?: boolean}} [options]
   */
  async #enter(entity, entry, options) {
    entry.asking = true;
    this.#shown.add(entity);
    try {
      return await this.#call("presence", { entity, action: "enter", meta: entry.meta }, options);
    } catch (error) {
      // A refusal leaves an earlier, accepted entry as it was at the server, until the connection is lost.
      if (this.#wanted.get(entity) === entry) this.#wanted.delete(entity);
      throw error;
    } finally {
      entry.asking = false;
    }
  }
}
