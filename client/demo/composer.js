import { byId } from "./dom.js";

/**
 * The field one writes in. Enter sends, Shift+Enter starts a new line.
 * @param {{post: (text: string) => void}} room
 * @param {{say: (on: boolean) => void}} typing
 */
export function openComposer(room, typing) {
  const form = /** @type {HTMLFormElement} */ (byId("composer"));
  const field = /** @type {HTMLTextAreaElement} */ (byId("message-input"));
  const fit = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
  };
  field.addEventListener("input", () => {
    fit();
    typing.say(field.value.trim() !== "");
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    typing.say(false);
    room.post(text);
    field.value = "";
    fit();
    field.focus();
  });
}
