import { byId } from "./dom.js";

const TITLES = { connecting: "Connecting", connected: "Connected", waiting: "Offline", closed: "Disconnected" };

/**
 * The dot in the corner, and the banner that appears when the connection is gone.
 * @param {import("../types/greenroom.js").Client} client
 */
export function showStatus(client) {
  const state = byId("state");
  const text = byId("state-text");
  const banner = byId("banner");
  const title = byId("banner-title");
  const rest = byId("banner-text");
  const retry = byId("banner-retry");
  let wasLost = false;

  const show = () => {
    state.dataset.state = client.state;
    set(text, TITLES[client.state].toLowerCase());
    if (client.state === "connected") wasLost = false;
    if (client.state === "waiting" || client.state === "closed") wasLost = true;
    // The first attempt has the dot; only a loss deserves a banner, and it stays until the
    // connection is back.
    banner.hidden = !wasLost;
    banner.dataset.state = client.state;
    retry.hidden = client.state !== "waiting";
    if (client.state === "closed") {
      set(title, "Disconnected for good.");
      set(rest, `${client.error?.message ?? ""} Reload the page to start over.`);
      return;
    }
    const unsent = client.pending.length;
    const kept = unsent > 0 ? ` ${unsent === 1 ? "One change waits" : `${unsent} changes wait`} to be sent.` : "";
    set(title, "The connection is lost.");
    const seconds = client.nextAttemptAt === null ? 0 : Math.ceil((client.nextAttemptAt - Date.now()) / 1_000);
    set(rest, (seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.") + kept);
  };

  client.on("state", show);
  client.on("pending", show);
  retry.addEventListener("click", () => client.reconnect());
  window.setInterval(() => client.state === "waiting" && show(), 500);
  show();
}

/** Leaves a text that is right alone, so that it is not read out again. @param {HTMLElement} element @param {string} text */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
