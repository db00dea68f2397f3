import { avatar, byId, make } from "./dom.js";
import { place } from "./timeline.js";

/**
 * Shows who is here.
 * @param {import("../types/greenroom.js").Client} client
 * @param {import("../types/greenroom.js").Subscription} subscription
 */
export function showPresence(client, subscription) {
  const list = byId("people");
  /** @type {Map<string, {element: HTMLElement, text: string}>} */
  let shown = new Map();

  subscription.on("presence", ({ members, count }) => {
    const people = (members ?? []).map(({ user, meta }) => ({ user, name: typeof meta?.name === "string" && meta.name.trim() ? meta.name.slice(0, 32) : user }));
    people.sort((a, b) => Number(b.user === client.user) - Number(a.user === client.user) || a.name.localeCompare(b.name));
    /** @type {typeof shown} */
    const next = new Map();
    for (const { user, name } of people) {
      const you = user === client.user;
      const text = JSON.stringify([name, you]);
      const before = shown.get(user);
      next.set(user, before?.text === text ? before : { text, element: person(user, name, you) });
    }
    shown = next;
    place(list, [...next.values()].map(({ element }) => element));
    byId("people-count").textContent = count > 0 ? String(count) : "";
    const hint = byId("people-empty");
    hint.hidden = people.length > 0;
    hint.textContent = count > 0 ? `${count} people, too many to name.` : "Nobody has joined yet.";
  });
}

/** @param {string} user @param {string} name @param {boolean} you */
function person(user, name, you) {
  return make("li", { class: "person" }, avatar(name, user), make("span", { class: "name" }, name), you && make("span", { class: "you" }, "you"));
}
