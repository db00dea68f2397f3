import { applyOp } from "./json.js";

/**
 * A shared JSON document: the committed value, and on top of it one's own ops that are still on their way, so that a click
 * shows at once and a refusal takes it back.
 */
export class SharedDocument {
  /** @type {any} */
  #committed = {};
  /** @type {Set<{type: string, body: any, seq: number | null}>} */
  #mine = new Set();
  #client;
  #entity;
  #subscription;

  /**
   * @param {import("../greenroom.js").Client} client
   * @param {import("../greenroom.js").Entity} entity
   */
  constructor(client, entity) {
    this.#client = client;
    this.#entity = entity;
    this.#subscription = entity.subscribe({ signals: "none" });
    const replace = (/** @type {{seq: number, snapshot: any}} */ { seq, snapshot }) => {
      this.#committed = snapshot;
      this.#seen(seq);
    };
    this.#subscription.on("snapshot", replace);
    this.#subscription.on("reset", replace);
    this.#subscription.on("event", (event) => this.#event(event));
  }

  /** Set by who shows it: the value changed. */
  changed = () => {};
  /** @type {(error: any) => void} set by who shows it: an op was refused, or the document cannot be opened */
  failed = () => {};

  get value() {
    return [...this.#mine].reduce((value, op) => attempt(value, op), this.#committed);
  }

  /** One's own ops that are not in the committed value yet. */
  get unsettled() {
    return [...this.#mine];
  }

  /**
   * @param {"patch" | "merge" | "increment" | "set"} type
   * @param {any} body
   */
  send(type, body) {
    /** @type {{type: string, body: any, seq: number | null}} */
    const op = { type, body, seq: null };
    this.#mine.add(op);
    this.changed();
    this.#entity.send(type, body).then(
      ({ seq }) => {
        op.seq = seq;
        if ((this.#subscription.position?.seq ?? 0) >= seq) this.#settle(op);
      },
      (error) => {
        this.#settle(op);
        this.failed(error);
      },
    );
  }

  /** @param {import("../greenroom.js").Event} event */
  #event({ seq, from, type, body }) {
    // One's own op may come back as an event before its answer does; counted twice an increment
    // would flicker.
    if (from === this.#client.user) {
      const own = [...this.#mine].find((op) => op.seq === null && op.type === type && JSON.stringify(op.body) === JSON.stringify(body));
      if (own) this.#mine.delete(own);
    }
    this.#committed = attempt(this.#committed, { type, body });
    this.#seen(seq);
  }

  /** @param {number} seq */
  #seen(seq) {
    for (const op of this.#mine) if (op.seq !== null && op.seq <= seq) this.#mine.delete(op);
    this.changed();
  }

  /** @param {{type: string, body: any, seq: number | null}} op */
  #settle(op) {
    if (this.#mine.delete(op)) this.changed();
  }
}

/**
 * What does not apply here changes nothing: of one's own ops the server will say so.
 * @param {any} value
 * @param {{type: string, body: any}} op
 */
function attempt(value, { type, body }) {
  try {
    return applyOp(value, type, body);
  } catch {
    return value;
  }
}
