import { avatar, byId, explain, make } from "./dom.js";
import { place } from "./timeline.js";

/** The messages that one has written and that are not in the room yet: on their way, or refused. */
export class Unsent {
  #list = byId("unsent");
  /** @type {Map<string, HTMLElement>} those on their way, by key */
  #sending = new Map();
  /** @type {Set<HTMLElement>} */
  #refused = new Set();
  #again;
  #user;
  #changed;

  /**
   * @param {(body: any) => void} again sends it once more
   * @param {() => string | null} user who one is to the server
   * @param {() => void} changed
   */
  constructor(again, user, changed) {
    this.#again = again;
    this.#user = user;
    this.#changed = changed;
  }

  get size() {
    return this.#sending.size + this.#refused.size;
  }

  /** @param {import("../types/greenroom.js").LiveOp[]} posts those on their way */
  show(posts) {
    const row = (/** @type {import("../types/greenroom.js").LiveOp} */ { key, body, restored }) =>
      this.#sending.get(key) ?? this.#row(shown(body), make("span", { class: "on-its-way" }, restored ? "from your last visit, sending…" : "sending…"));
    this.#sending = new Map(posts.map((post) => [post.key, row(post)]));
    place(this.#list, [...this.#refused, ...this.#sending.values()]);
  }

  /**
   * The server would not have it.
   * @param {any} body
   * @param {unknown} error
   */
  failed(body, error) {
    const element = this.#row(shown(body), null);
    element.className = "message failed";
    const drop = () => {
      this.#refused.delete(element);
      this.#changed();
    };
    const again = make("button", { type: "button", class: "quiet" }, "Send again");
    const discard = make("button", { type: "button", class: "quiet" }, "Discard");
    again.onclick = () => {
      drop();
      this.#again(body);
    };
    discard.onclick = drop;
    element.lastElementChild?.append(make("div", { class: "failure", role: "alert" }, make("span", {}, `Not sent: ${explain(error)}`), again, discard));
    this.#refused.add(element);
    this.#changed();
  }

  /**
   * @param {{text: string, name: string}} body
   * @param {HTMLElement | null} status
   */
  #row(body, status) {
    const byline = make("p", { class: "byline" }, make("span", { class: "author" }, body.name), status);
    const content = make("div", { class: "content" }, byline, make("p", { class: "text" }, body.text));
    return make("li", { class: "message sending" }, avatar(body.name, this.#user() ?? body.name), content);
  }
}

/** A page of another version may have written it. @param {any} body */
function shown(body) {
  return { text: String(body?.text ?? ""), name: String(body?.name ?? "") };
}
