import { avatar, byId, explain, make } from "./dom.js";

/** @typedef {{element: HTMLElement, content: HTMLElement, status: HTMLElement, seq: number | null}} Row */

/**
 * The messages that one has written and that the room does not show yet: on their way, waiting for a connection, left by an
 * earlier visit, or refused.
 */
export class Unsent {
  #list = byId("unsent");
  /** @type {Set<Row>} */
  #rows = new Set();
  /** @type {Map<number | null, Row>} those that an earlier visit left, by number */
  #left = new Map();
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
    const row = this.#row(body, "sending…");
    this.#entity.send("post", body).then(
      ({ seq }) => {
        row.seq = seq;
        // The event usually came just before the answer.
        if (this.#messages.get(seq)) this.#drop(row);
      },
      (error) => this.#failed(row, body, error),
    );
    this.#changed();
  }

  /** What the client still has to send may hold messages of an earlier visit; nobody waits for those but the client itself. */
  showLeft() {
    const left = this.#entity.pending.filter(({ restored, type }) => restored && type === "post");
    const numbers = new Set(left.map(({ n }) => n));
    for (const [n, row] of this.#left) {
      if (numbers.has(n)) continue;
      this.#left.delete(n);
      this.#drop(row);
    }
    const known = this.#left.size;
    for (const { n, body } of left) if (!this.#left.has(n)) this.#left.set(n, this.#row(shown(body), "from your last visit, sending…"));
    if (this.#left.size > known) this.#changed();
  }

  /**
   * A message of an earlier visit was refused.
   * @param {any} body
   * @param {unknown} error
   */
  leftFailed(body, error) {
    this.#failed(this.#row(shown(body), ""), shown(body), error);
  }

  /**
   * @param {{text: string, name: string}} body
   * @param {string} state
   * @returns {Row}
   */
  #row(body, state) {
    const status = make("span", { class: "on-its-way" }, state);
    const content = make("div", { class: "content" }, make("p", { class: "byline" }, make("span", { class: "author" }, body.name), status));
    content.append(make("p", { class: "text" }, body.text));
    const element = make("li", { class: "message sending" }, avatar(body.name, this.#user() ?? body.name), content);
    const row = { element, content, status, seq: null };
    this.#rows.add(row);
    this.#list.append(element);
    return row;
  }

  /**
   * @param {Row} row
   * @param {{text: string, name: string}} body
   * @param {unknown} error
   */
  #failed(row, body, error) {
    row.status.remove();
    row.element.className = "message failed";
    row.content.append(this.#failure(row, body, error));
    this.#changed();
  }

  /** The room shows this event now. @param {number} seq */
  seen(seq) {
    for (const row of this.#rows) if (row.seq !== null && row.seq <= seq) this.#drop(row);
  }

  /**
   * @param {Row} row
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

  /** @param {Row} row */
  #drop(row) {
    row.element.remove();
    this.#rows.delete(row);
    this.#changed();
  }
}

/** A page of another version may have written it. @param {any} body */
function shown(body) {
  return { text: String(body?.text ?? ""), name: String(body?.name ?? "") };
}
