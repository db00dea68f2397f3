import { GreenroomError } from "./errors.js";

/** @typedef {(method: string, params: object) => Promise<any>} Call */

/**
 * Where the app has entered, so that it enters again after a reconnect: to the server a new connection is a new session,
 * and a session is present nowhere until it says so.
 */
export class Presences {
  /** @type {Map<string, {meta: object | undefined, entered: boolean}>} */
  #entered = new Map();
  #call;
  #failed;

  /**
   * @param {Call} call
   * @param {(error: GreenroomError) => void} failed entering again was refused
   */
  constructor(call, failed) {
    this.#call = call;
    this.#failed = failed;
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
  async enter(entity, meta) {
    const entry = { meta, entered: this.#entered.get(entity)?.entered ?? false };
    this.#entered.set(entity, entry);
    try {
      const result = await this.#call("presence", { entity, action: "enter", meta });
      entry.entered = true;
      return result;
    } catch (error) {
      // A refusal leaves an earlier, accepted entry as it was at the server; after a reconnect there is none.
      if (this.#entered.get(entity) === entry) this.#entered.delete(entity);
      throw error;
    }
  }

  /**
   * @param {string} entity
   * @returns {Promise<{count: number}>}
   */
  leave(entity) {
    this.#entered.delete(entity);
    return this.#call("presence", { entity, action: "leave" });
  }

  /** There is a new connection. Those whose first `enter` still waits for an answer are asked by that call itself. */
  attach() {
    for (const [entity, entry] of this.#entered) {
      if (!entry.entered) continue;
      this.#call("presence", { entity, action: "enter", meta: entry.meta }).catch((error) => {
        if (this.#entered.get(entity) === entry) this.#entered.delete(entity);
        this.#failed(error);
      });
    }
  }
}
