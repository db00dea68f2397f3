import { byId } from "./dom.js";

const SAY_EVERY_MS = 2_000;
const FORGET_AFTER_MS = 5_000;

/**
 * "Ann is typing…": a signal every two seconds while one types, forgotten when none came for five.
 * @param {import("../types/greenroom.js").Entity} entity
 * @param {import("../types/greenroom.js").Subscription} subscription
 * @param {() => string} name
 */
export function followTyping(entity, subscription, name) {
  const line = byId("typing");
  /** @type {Map<string, {name: string, timer: number}>} */
  const typing = new Map();
  let saidAt = 0;

  const show = () => {
    const names = [...typing.values()].map((one) => one.name);
    const [first, second] = names;
    if (names.length === 0) line.textContent = "";
    else if (names.length === 1) line.textContent = `${first} is typing…`;
    else if (names.length === 2) line.textContent = `${first} and ${second} are typing…`;
    else line.textContent = `${names.length} people are typing…`;
  };
  const forget = (/** @type {string} */ user) => {
    clearTimeout(typing.get(user)?.timer);
    if (typing.delete(user)) show();
  };

  subscription.on("signal", ({ from, type, body }) => {
    if (type !== "typing") return;
    forget(from);
    if (body?.on !== true) return;
    // Others choose what they send: a name is a short text, and there are not more of them than one
    // can read.
    const shown = typeof body.name === "string" && body.name.trim() ? body.name.trim().slice(0, 32) : from;
    if (typing.size < 50) typing.set(from, { name: shown, timer: window.setTimeout(() => forget(from), FORGET_AFTER_MS) });
    show();
  });
  subscription.on("event", ({ from, type }) => type === "post" && forget(from));

  return {
    /** @param {boolean} on whether one is typing right now */
    say(on) {
      const now = Date.now();
      if (on ? now - saidAt < SAY_EVERY_MS : saidAt === 0) return;
      saidAt = on ? now : 0;
      entity.signal("typing", { on, name: name() }, { key: "typing" });
    },
  };
}
