import { GreenroomError } from "./errors.js";

/** Where the tokens of a client come from, and what the server said of the last ones. */
export class Tokens {
  #source;
  /** @type {string | undefined} the one that the server was shown last */
  #shown;
  /** @type {{token: string | undefined} | null} the one that was refused last, since the server has accepted any */
  #refused = null;

  /** @param {import("./types.js").ConnectOptions["token"]} source */
  constructor(source) {
    if (source === "") throw new GreenroomError("invalid_argument", "`token` is empty; leave it out to connect without one");
    this.#source = source;
  }

  /** Whether asking again may give another one. */
  get renewable() {
    return typeof this.#source === "function";
  }

  /** @returns {Promise<string | undefined>} */
  async next() {
    const token = typeof this.#source === "function" ? await this.#source() : this.#source;
    if (token === null || token === undefined) return undefined;
    if (typeof token === "string" && token !== "") return token;
    throw new TypeError("the token function returned no token: a string that is not empty is expected, or null");
  }

  /** @param {string | undefined} token */
  show(token) {
    this.#shown = token;
  }

  /** @param {string | undefined} token */
  isShown(token) {
    return token === this.#shown;
  }

  accepted() {
    this.#refused = null;
  }

  /**
   * The server did not accept what it was shown.
   * @param {string} code `unauthorized` or `token_expired`
   * @returns {boolean} whether there is no use in going on. A token function gets another chance as long as it returns what was
   *   refused already, from a cache for example, or what has expired: only another token that is refused ends it
   */
  refused(code) {
    const before = this.#refused;
    this.#refused = { token: this.#shown };
    if (!this.renewable) return true;
    return code === "unauthorized" && before !== null && (this.#shown === undefined || this.#shown !== before.token);
  }
}
