import { byId, make } from "./dom.js";

const MAX_ROWS = 200;
const MEASURE_EVERY_MS = 10_000;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/**
 * What goes over the wire: the newest messages first, 200 at most; while paused none are kept.
 * @param {import("../types/greenroom.js").Client} client
 */
export function openPanel(client) {
  const list = byId("raw-messages");
  const pause = byId("wire-pause");
  let paused = false;
  let count = 0;

  client.on("message", ({ direction, data, at }) => {
    count += 1;
    byId("raw-count").textContent = String(count);
    if (paused) return;
    list.prepend(row(direction, data, at));
    if (list.children.length > MAX_ROWS) list.lastElementChild?.remove();
  });
  client.on("rtt", (ms) => {
    byId("rtt").textContent = `${ms.toFixed(0)} ms`;
  });
  client.on("pending", (pending) => {
    byId("pending").textContent = String(pending);
  });
  client.on("state", ({ state }) => {
    if (state === "connected") byId("user").textContent = client.user ?? "–";
    else byId("rtt").textContent = "–";
  });

  window.setInterval(() => document.visibilityState === "visible" && client.ping(), MEASURE_EVERY_MS);

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
  });
  byId("wire-clear").addEventListener("click", () => {
    list.replaceChildren();
    count = 0;
    byId("raw-count").textContent = "0";
  });
}

/** @param {"in" | "out"} direction @param {string} data @param {number} at */
function row(direction, data, at) {
  const way = make("span", { class: "way" }, make("span", { "aria-hidden": "true" }, direction === "out" ? "↑" : "↓"));
  way.append(make("span", { class: "visually-hidden" }, direction === "out" ? "sent" : "received"));
  const summary = make("summary", {}, way, make("span", { class: "what" }, data.replace('"jsonrpc":"2.0",', "").slice(0, 300)), make("time", {}, time.format(at)));
  const details = make("details", {}, summary);
  // Laid out only for those who look.
  details.addEventListener("toggle", () => details.open && details.children.length === 1 && details.append(make("pre", {}, pretty(data))));
  return make("li", { "data-way": direction }, details);
}

/** @param {string} data */
function pretty(data) {
  try {
    return JSON.stringify(JSON.parse(data), null, 2);
  } catch {
    return data;
  }
}
