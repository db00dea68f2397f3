import { byId, paint } from "./dom.js";

const KEY = "greenroom.name";

/**
 * Who one is to the others: asked for once, remembered, changed by a click on it.
 * @param {import("../types/greenroom.js").Client} client
 * @param {(name: string) => void} chosen called with the remembered name at once, and with each new one
 */
export function askName(client, chosen) {
  const naming = byId("naming");
  const composer = byId("composer");
  const input = /** @type {HTMLInputElement} */ (byId("name-input"));
  const me = byId("me");
  let name = remembered();

  const show = () => {
    const known = name !== "";
    naming.hidden = known;
    composer.hidden = !known;
    me.hidden = !known;
    byId("me-name").textContent = name;
    paint(byId("me-avatar"), name, client.user ?? name);
  };
  const leave = () => {
    show();
    byId("message-input").focus();
  };

  naming.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = input.value.trim();
    if (!given) return input.focus();
    name = given;
    remember(name);
    leave();
    chosen(name);
  });
  naming.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && name) leave();
  });
  me.addEventListener("click", () => {
    document.querySelector(".tabs")?.querySelector("button")?.click();
    byId("naming-label").textContent = "Change your name";
    byId("name-save").textContent = "Save";
    input.value = name;
    naming.hidden = false;
    composer.hidden = true;
    input.select();
  });

  show();
  // The colour goes by who one is to the server, as everybody else sees it.
  client.on("state", ({ state }) => state === "connected" && paint(byId("me-avatar"), name, client.user ?? name));
  if (name) chosen(name);
  return () => name;
}

function remembered() {
  try {
    return localStorage.getItem(KEY)?.trim().slice(0, 32) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name */
function remember(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}
