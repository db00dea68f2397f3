import { GreenroomError, codeOf, isRetryable } from "./errors.js";
import { MAX_META_DEPTH, byteLength, jsonBody } from "./body.js";
import { promised } from "./promised.js";

/** @typedef {(method: string, params: object, options?: {patient?: boolean, again?: boolean}) => Promise<any>} Call */

/** @typedef {{meta: object | undefined}} Entry */

/** @typedef {import("./types.js").PresenceAnswer} Answer */

/**
 * Where the app wants to be present, and where the server shows this session. What the app wants last counts: answers may come
 * in another order than the calls were made, since what is refused for a limit is sent again; so whenever the last call about
 * an entity is answered, the two are compared.
 *
 * `connect` carries it. A connection that takes the place of the lost one (`resumed`) has the presence of the lost one as well,
 * so that only what changed meanwhile is told; to any other the server knows nothing, and all is told.
 */
export class Presences {
  /** @type {Map<string, Entry>} where the app has entered */
  #wanted = new Map();
  /** @type {Map<string, Entry | null>} what the server shows, as far as is known; null: something, or perhaps nothing any more */
  #shown = new Map();
  /** @type {Map<string, number>} calls without an answer */
  #asking = new Map();
  /** @type {[string, Entry][]} those named in the `connect` that is under way */
  #connecting = [];
  #call;
  #failed;

  /**
   * @param {Call} call
   * @param {(error: GreenroomError) => void} failed entering again was refused
   */
  constructor(call, failed) {
    this.#call = call;
    // Closing the client ends its calls; that is no news.
    this.#failed = (/** @type {GreenroomError} */ error) => void (error.code !== "closed" && failed(error));
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
    const copy = meta === undefined ? undefined : jsonBody(meta, MAX_META_DEPTH);
    if (copy instanceof GreenroomError) return Promise.reject(copy);
    const entry = { meta: copy };
    this.#wanted.set(entity, entry);
    return promised((resolve, reject) => void this.#enter(entity, entry).then(resolve, reject));
  }

  /**
   * @param {string} entity
   * @returns {Promise<{count: number}>}
   */
  leave(entity) {
    this.#wanted.delete(entity);
    return promised((resolve, reject) => void this.#leave(entity).then(resolve, reject));
  }

  /**
   * What `connect` shall enter.
   * @param {number} room bytes
   * @param {boolean} resumes the server probably has what the last connection entered
   */
  connectParams(room, resumes) {
    this.#connecting = [];
    for (const [entity, entry] of this.#wanted) {
      if (this.#asking.has(entity) || (resumes && this.#shown.get(entity) === entry)) continue;
      room -= byteLength(JSON.stringify({ entity, meta: entry.meta })) + 1;
      if (room < 0) break;
      this.#connecting.push([entity, entry]);
    }
    return this.#connecting.map(([entity, { meta }]) => ({ entity, meta }));
  }

  /**
   * There is a new connection, and calls that are still open have been made on it already.
   * @param {boolean} resumed
   * @param {Answer[] | undefined} answers to what `connect` carried; none from an older server
   */
  attach(resumed, answers) {
    const asked = this.#connecting;
    this.#connecting = [];
    const before = this.#shown;
    this.#shown = resumed ? new Map(before) : new Map();
    asked.forEach(([entity, entry], index) => this.#entered(entity, entry, answers?.[index]));
    // A call that was open when the last connection was lost may have been executed there.
    for (const entity of new Set([...this.#shown.keys(), ...this.#wanted.keys()])) this.#look(entity);
  }

  /** The server has ended our presence there. @param {string} entity @param {string} reason */
  left(entity, reason) {
    this.#shown.delete(entity);
    if (!this.#wanted.delete(entity)) return;
    this.#failed(new GreenroomError(codeOf(reason), `the right to be present in \`${entity}\` has ended`));
  }

  /**
   * @param {string} entity
   * @param {Entry} entry
   * @param {Answer | undefined} answer
   */
  #entered(entity, entry, answer) {
    if (answer?.result) this.#shown.set(entity, entry);
    if (!answer?.error) return;
    const error = GreenroomError.fromRpc(answer.error);
    // Another attempt is made below.
    if (isRetryable(error) || this.#wanted.get(entity) !== entry) return;
    this.#wanted.delete(entity);
    this.#failed(error);
  }

  /**
   * Tells the server what the app wants of this entity, if that is something else than it shows and nothing is under way.
   * @param {string} entity
   */
  #look(entity) {
    if (this.#asking.has(entity)) return;
    const entry = this.#wanted.get(entity);
    if (entry ? this.#shown.get(entity) === entry : !this.#shown.has(entity)) return;
    const told = entry ? this.#enter(entity, entry, { patient: true }) : this.#leave(entity, { patient: true });
    told.catch(this.#failed);
  }

  /**
   * @param {string} entity
   * @param {{patient?: boolean, again?: boolean}} [options]
   */
  async #leave(entity, options = { again: true }) {
    return this.#ask(entity, { entity, action: "leave" }, options, () => this.#shown.delete(entity));
  }

  /**
   * @param {string} entity
   * @param {Entry} entry
   * @param {{patient?: boolean, again?: boolean}} [options]
   */
  async #enter(entity, entry, options = { again: true }) {
    // Until it is answered the server may show the one before.
    this.#shown.set(entity, null);
    try {
      return await this.#ask(entity, { entity, action: "enter", meta: entry.meta }, options, () => this.#shown.set(entity, entry));
    } catch (error) {
      if (this.#wanted.get(entity) === entry) this.#wanted.delete(entity);
      throw error;
    }
  }

  /**
   * @param {string} entity
   * @param {object} params
   * @param {object} options
   * @param {() => void} done
   */
  async #ask(entity, params, options, done) {
    this.#asking.set(entity, (this.#asking.get(entity) ?? 0) + 1);
    /** @type {unknown} */
    let failure = null;
    try {
      const result = await this.#call("presence", params, options);
      done();
      return result;
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      const open = (this.#asking.get(entity) ?? 1) - 1;
      if (open > 0) this.#asking.set(entity, open);
      else this.#asking.delete(entity);
      // After a refusal for good it is the app's turn.
      if (failure === null || isRetryable(failure)) queueMicrotask(() => this.#look(entity));
    }
  }
}
