import { byId, explain, make, toast } from "./dom.js";
import { place } from "./timeline.js";

/**
 * The checklist and the likes of a room, both in one document: `{items: {<id>: {text, done, order}}, likes}`. Each op touches
 * one member, so that people who change different things at the same time never undo each other; to tick an item that
 * somebody just removed is refused by its path.
 * @param {import("../types/greenroom.js").LiveDocument} live
 */
export function openChecklist(live) {
  const list = byId("checklist");
  const input = /** @type {HTMLInputElement} */ (byId("checklist-input"));
  /** @type {Map<string, HTMLElement>} */
  let shown = new Map();

  live.on("rejected", ({ op, error }) => !op.restored && toast(explain(error)));
  live.on("close", (error) => error && toast(`The checklist cannot be opened: ${explain(error)}`));
  live.subscribe(() => {
    const value = live.state;
    const items = itemsOf(value);
    const pending = JSON.stringify(live.pending.map(({ body }) => body));
    /** @type {typeof shown} */
    const next = new Map();
    for (const item of items) {
      const element = shown.get(item.id) ?? row(live, item.id);
      update(element, item, pending.includes(item.id));
      next.set(item.id, element);
    }
    shown = next;
    place(list, [...next.values()]);
    const done = items.filter((item) => item.done).length;
    byId("list-count").textContent = items.length > 0 ? `${done} of ${items.length}` : "";
    byId("list-empty").hidden = items.length > 0;
    byId("likes").textContent = String(typeof value?.likes === "number" ? value.likes : 0);
  });

  byId("list-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    input.focus();
    if (!text) return;
    input.value = "";
    const order = Math.max(0, ...itemsOf(live.state).map((item) => item.order)) + 1;
    // A merge makes `items` too where there are none yet.
    void live.send("merge", { items: { [randomId()]: { text, done: false, order } } });
  });
  byId("like").addEventListener("click", () => void live.send("increment", { path: "/likes", by: 1 }));
}

/**
 * @param {any} value
 * @returns {{id: string, text: string, done: boolean, order: number}[]}
 */
function itemsOf(value) {
  const items = Object.entries(value?.items ?? {})
    .filter(([, item]) => typeof item?.text === "string")
    .map(([id, item]) => ({ id, text: item.text, done: item.done === true, order: Number(item.order) || 0 }));
  return items.sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1));
}

/** @param {import("../types/greenroom.js").LiveDocument} live @param {string} id */
function row(live, id) {
  const box = make("input", { type: "checkbox" });
  const remove = make("button", { type: "button", class: "remove" }, make("span", { "aria-hidden": "true" }, "×"), make("span", { class: "visually-hidden" }));
  // `replace`, not `add`: an item that is gone meanwhile must not come back as half of one.
  box.onchange = () => void live.send("patch", [{ op: "replace", path: `/items/${id}/done`, value: box.checked }]);
  remove.onclick = () => void live.send("patch", [{ op: "remove", path: `/items/${id}` }]);
  return make("li", { class: "item", "data-testid": "checklist-item" }, make("label", {}, box, make("span", { class: "what" })), remove);
}

/** @param {HTMLElement} element @param {{text: string, done: boolean}} item @param {boolean} pending */
function update(element, item, pending) {
  const box = /** @type {HTMLInputElement} */ (element.querySelector("input"));
  const what = /** @type {HTMLElement} */ (element.querySelector(".what"));
  const label = /** @type {HTMLElement} */ (element.querySelector(".remove .visually-hidden"));
  box.checked = item.done;
  element.classList.toggle("done", item.done);
  element.classList.toggle("pending", pending);
  if (what.textContent !== item.text) what.textContent = item.text;
  label.textContent = `Remove ${item.text}`;
}

// Letters and digits alone, so that an id is the same in a JSON Pointer as in an object.
const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
