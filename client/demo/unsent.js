import { avatar, byId, explain, make } from "./dom.js";

/**
 * The messages that one has written and that the room does not show yet: on their way, waiting for a connection, or refused.
 */
export class Unsent {
  #list = byId("unsent");
  /** @type {Set<{element: HTMLElement, seq: number | null}>} */
  #rows = new Set();
  #entity;
  #messages;
  #user;
  #changed;

  /**
   * @param {import("../greenroom.js").Entity} entity
   * @param {import("./messages.js").Messages} messages
   * @param {() => string | null} user who one is to the server
   * @param {() => void} changed
   */
  constructor(entity, messages, user, changed) {
    this.#entity = entity;
    this.#messages = messages;
    this.#user = user;
    this.#changed = changed;
  }

  get size() {
    return this.#rows.size;
  }

  /** @param {{text: string, name: string}} body */
  add(body) {
    const status = make("span", { class: "on-its-way" }, "sending…");
    const content = make("div", { class: "content" }, make("p", { class: "byline" }, make("span", { class: "author" }, body.name), status));
    content.append(make("p", { class: "text" }, body.text));
    const element = make("li", { class: "message sending" }, avatar(body.name, this.#user() ?? body.name), content);
    /** @type {{element: HTMLElement, seq: number | null}} */
    const row = { element, seq: null };
    this.#rows.add(row);
    this.#list.append(element);
    this.#entity.send("post", body).then(
      ({ seq }) => {
        row.seq = seq;
        // The event usually came just before the answer.
        if (this.#messages.get(seq)) this.#drop(row);
      },
      (error) => {
        status.remove();
        element.className = "message failed";
        content.append(this.#failure(row, body, error));
        this.#changed();
      },
    );
    this.#changed();
  }

  /** The room shows this event now. @param {number} seq */
  seen(seq) {
    for (const row of this.#rows) if (row.seq !== null && row.seq <= seq) this.#drop(row);
  }

  /**
   * @param {{element: HTMLElement, seq: number | null}} row
   * @param {{text: string, name: string}} body
   * @param {unknown} error
   */
  #failure(row, body, error) {
    const again = make("button", { type: "button", class: "quiet" }, "Send again");
    const discard = make("button", { type: "button", class: "quiet" }, "Discard");
    again.onclick = () => {
      this.#drop(row);
      this.add(body);
    };
    discard.onclick = () => this.#drop(row);
    return make("div", { class: "failure", role: "alert" }, make("span", {}, `Not sent: ${explain(error)}`), again, discard);
  }

  /** @param {{element: HTMLElement, seq: number | null}} row */
  #drop(row) {
    row.element.remove();
    this.#rows.delete(row);
    this.#changed();
  }
}
