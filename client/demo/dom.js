/**
 * The element with this id, which index.html promises.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @returns {Kind}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no \`${id}\``);
  return /** @type {Kind} */ (found);
}

/**
 * Makes an element. Text is only ever set as text, so what people write is never markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] `class`, `data-…` and `aria-…` become attributes, the rest properties
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class" || name.includes("-")) element.setAttribute(name, String(value));
    else Reflect.set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * A circle with a person's initial, in a colour of their own.
 * @param {string} name
 * @param {string} user
 */
export function avatar(name, user) {
  return paint(make("span", { class: "avatar", "aria-hidden": "true" }), name, user);
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} user
 */
export function paint(element, name, user) {
  let hash = 7;
  for (const char of user) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 9_973;
  element.style.setProperty("--hue", String((hash * 47) % 360));
  element.textContent = [...name.trim()][0] ?? "?";
  return element;
}

/**
 * Tells of something that went wrong, until it is dismissed or eight seconds are over.
 * @param {string} text
 */
export function toast(text) {
  const toasts = byId("toasts");
  const close = make("button", { type: "button", class: "quiet", textContent: "OK" });
  const element = make("div", { class: "toast" }, make("span", {}, text), close);
  close.onclick = () => element.remove();
  setTimeout(() => element.remove(), 8_000);
  toasts.append(element);
  while (toasts.children.length > 3) toasts.firstElementChild?.remove();
}

const REASONS = {
  message_not_found: "That message is too old to be changed.",
  not_author: "Only its author can change that message.",
  too_many_reactions: "That message has all the reactions it can take.",
  patch_failed: "Somebody else removed that item meanwhile.",
};

/**
 * What a person can make of an error.
 * @param {any} error
 * @returns {string}
 */
export function explain(error) {
  const known = REASONS[/** @type {keyof typeof REASONS} */ (error?.reason)];
  if (known) return known;
  if (error?.code === "outcome_unknown") return "The connection came back with another identity; this may or may not have arrived.";
  if (error?.code === "queue_full") return "Too much is waiting to be sent already.";
  return error?.message ? `${error.message} (${error.code})` : "Something went wrong.";
}
