import { avatar, byId, make } from "./dom.js";

/** @typedef {import("../types/greenroom.js").LiveMessage & {seq: number}} Message one that is confirmed */

/**
 * @typedef {object} TimelineActions
 * @property {(seq: number, text: string) => void} edit
 * @property {(seq: number) => void} remove
 * @property {(seq: number, emoji: string, mine: boolean) => void} react
 * @property {() => void} older the reader came to the top
 */

const EMOJI = ["👍", "❤️", "😄", "🎉"];
// Messages of one person within this time are shown as one block.
const BLOCK_MS = 5 * 60_000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

/** Shows the messages, keeps the reader's place, and turns clicks into actions. */
export class Timeline {
  #list = byId("messages");
  #scroll = byId("scroll");
  #newer = byId("newer");
  /** @type {Map<number, {element: HTMLElement, text: string}>} what is shown, and what it was made of */
  #shown = new Map();
  /** @type {number | null} the message being edited */
  #editing = null;
  #follows = true;
  #actions;

  /** @param {TimelineActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#newer.addEventListener("click", () => this.toEnd());
    // A touch opens what a mouse gets by pointing.
    this.#list.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (target.closest("button, textarea, a")) return;
      const message = target.closest(".message");
      for (const open of this.#list.querySelectorAll(".open")) if (open !== message) open.classList.remove("open");
      message?.classList.toggle("open");
    });
    new ResizeObserver(() => this.#follows && this.#jump()).observe(this.#scroll);
  }

  /**
   * @param {Message[]} messages
   * @param {string | null} me
   * @param {boolean} [isOlder] the new ones are above: hold the reader's place
   */
  show(messages, me, isOlder = false) {
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    const known = this.#shown.size;
    /** @type {Map<number, {element: HTMLElement, text: string}>} */
    const next = new Map();
    /** @type {HTMLElement[]} */
    const rows = [];
    /** @type {Message | null} */
    let previous = null;
    const names = namesOf(messages);
    for (const message of messages) {
      const newDay = !previous || new Date(previous.at).toDateString() !== new Date(message.at).toDateString();
      if (newDay) rows.push(make("li", { class: "day" }, day.format(message.at)));
      const follows = !newDay && previous?.from === message.from && nameOf(previous, names) === nameOf(message, names) && message.at - previous.at < BLOCK_MS;
      const text = JSON.stringify([message, nameOf(message, names), follows, message.from === me, this.#editing === message.seq]);
      const before = this.#shown.get(message.seq);
      const entry = before?.text === text ? before : { element: this.#render(message, me, follows, nameOf(message, names)), text };
      next.set(message.seq, entry);
      rows.push(entry.element);
      previous = message;
    }
    this.#shown = next;
    place(this.#list, rows);
    if (isOlder) this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd;
    else if (this.#follows) this.#jump();
    else if (next.size > known) this.#newer.hidden = false;
  }

  toEnd() {
    this.#follows = true;
    this.#newer.hidden = true;
    this.#jump();
  }

  #jump() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
    this.#follows = scrollHeight - scrollTop - clientHeight < 80;
    if (this.#follows) this.#newer.hidden = true;
    if (scrollTop < 120 && scrollHeight > clientHeight) this.#actions.older();
  }

  /**
   * @param {Message} message
   * @param {string | null} me
   * @param {boolean} follows
   * @param {string} name
   */
  #render(message, me, follows, name) {
    const isMine = message.from === me;
    const classes = ["message", follows && "follows", message.deleted && "deleted"].filter(Boolean).join(" ");
    const when = make("time", { dateTime: new Date(message.at).toISOString() }, clock.format(message.at));
    const content = make("div", { class: "content" }, make("p", { class: "byline" }, make("span", { class: "author" }, name), when));
    if (this.#editing === message.seq) content.append(this.#editor(message));
    else {
      const edited = message.edited_at !== undefined && !message.deleted && make("span", { class: "edited" }, "edited");
      content.append(make("p", { class: "text" }, message.deleted ? "This message was deleted." : textOf(message), edited));
      content.append(this.#reactions(message, me));
    }
    const element = make("li", { class: classes, "data-testid": "message", "data-seq": message.seq }, avatar(name, message.from), content);
    if (!message.deleted && this.#editing !== message.seq) element.append(this.#toolbar(message, me, isMine));
    return element;
  }

  /** @param {Message} message @param {string | null} me */
  #reactions(message, me) {
    const list = make("div", { class: "reactions" });
    for (const [emoji, who] of Object.entries(message.reactions ?? {})) {
      const mine = me !== null && who.includes(me);
      const label = `${emoji}, ${who.length}${mine ? ", with yours" : ""}`;
      const button = make("button", { type: "button", class: "reaction", "aria-pressed": mine, "aria-label": label }, `${emoji} ${who.length}`);
      button.onclick = () => this.#actions.react(message.seq, emoji, mine);
      list.append(button);
    }
    return list;
  }

  /** @param {Message} message @param {string | null} me @param {boolean} isMine */
  #toolbar(message, me, isMine) {
    const bar = make("div", { class: "actions", role: "group", "aria-label": "Message actions" });
    for (const emoji of EMOJI) {
      const mine = me !== null && (message.reactions?.[emoji] ?? []).includes(me);
      const button = make("button", { type: "button", "aria-label": `React with ${emoji}` }, emoji);
      button.onclick = () => this.#actions.react(message.seq, emoji, mine);
      bar.append(button);
    }
    if (!isMine) return bar;
    const edit = make("button", { type: "button" }, "Edit");
    edit.onclick = () => this.#edit(message.seq);
    const remove = make("button", { type: "button", class: "danger" }, "Delete");
    remove.onclick = () => {
      if (remove.dataset.sure) return this.#actions.remove(message.seq);
      remove.dataset.sure = "yes";
      remove.textContent = "Really?";
    };
    remove.onblur = () => {
      delete remove.dataset.sure;
      remove.textContent = "Delete";
    };
    bar.append(edit, remove);
    return bar;
  }

  /** @param {Message} message */
  #editor(message) {
    const field = make("textarea", { value: textOf(message), rows: 2, maxLength: 4_000, "aria-label": "Edit message" });
    const cancel = make("button", { type: "button", class: "quiet" }, "Cancel");
    const form = make("form", { class: "edit" }, field, make("div", { class: "row" }, cancel, make("button", { type: "submit", class: "primary" }, "Save")));
    cancel.onclick = () => this.#edit(null);
    field.onkeydown = (event) => {
      if (event.key === "Escape") this.#edit(null);
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const text = field.value.trim();
      if (text && text !== textOf(message)) this.#actions.edit(message.seq, text);
      this.#edit(null);
    };
    queueMicrotask(() => {
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
    });
    return form;
  }

  /** @param {number | null} seq */
  #edit(seq) {
    this.#editing = seq;
    this.changed();
  }

  /** Set by the room: show again. */
  changed = () => {};
}

/**
 * The names that people gave last: a deleted message has none any more.
 * @param {Message[]} messages
 */
const namesOf = (messages) => new Map(messages.flatMap(({ from, body }) => (typeof body?.name === "string" ? [[from, body.name.trim()]] : [])));

/** @param {Message} message @param {Map<string, string>} names */
const nameOf = ({ from, body }, names) => (typeof body?.name === "string" && body.name.trim()) || names.get(from) || from;

/** @param {Message} message */
const textOf = (message) => (typeof message.body?.text === "string" ? message.body.text : JSON.stringify(message.body));

/**
 * Makes `rows` the children, moving as little as possible, so that focus and selection survive.
 * @param {HTMLElement} parent
 * @param {HTMLElement[]} rows
 */
export function place(parent, rows) {
  const keep = new Set(rows);
  for (const child of [...parent.children]) if (!keep.has(/** @type {HTMLElement} */ (child))) child.remove();
  rows.forEach((row, index) => {
    if (parent.children[index] !== row) parent.insertBefore(row, parent.children[index] ?? null);
  });
}
