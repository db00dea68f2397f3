import { byId, explain, toast } from "./dom.js";
import { Timeline } from "./timeline.js";
import { Unsent } from "./unsent.js";

const PAGE = 100;

/**
 * The conversation: a live room, and the ops that change it. One's own ops show before the server has them.
 * @param {import("../types/greenroom.js").Client} client
 * @param {import("../types/greenroom.js").LiveRoom} live
 * @param {() => string} name
 */
export function openRoom(client, live, name) {
  const older = byId("older");
  const timeline = new Timeline({
    edit: (seq, text) => void live.send("edit", { seq, body: { text, name: name() } }),
    remove: (seq) => void live.send("delete", { seq }),
    react: (seq, emoji, mine) => void live.send("react", mine ? { seq, emoji, remove: true } : { seq, emoji }),
    older: () => void loadEarlier(),
  });
  const unsent = new Unsent((body) => void live.send("post", body), () => client.user, () => show());
  /** @type {number | null} */
  let oldest = null;

  function show() {
    const { messages = [], hasEarlier = false } = live.state ?? {};
    const posted = messages.filter((message) => message.seq !== null).map((message) => /** @type {import("./timeline.js").Message} */ (message));
    const first = posted[0]?.seq ?? null;
    timeline.show(posted, client.user, first !== null && oldest !== null && first < oldest);
    oldest = first;
    // Those that an earlier visit left are known before there is a state.
    unsent.show(live.pending.filter(({ type }) => type === "post"));
    byId("chat-empty").hidden = messages.length + unsent.size > 0 || live.state === undefined;
    older.hidden = !hasEarlier;
  }

  async function loadEarlier() {
    if (!live.state?.hasEarlier) return;
    await live.loadEarlier(PAGE).catch((error) => toast(explain(error)));
  }

  timeline.changed = show;
  live.subscribe(show);
  live.on("rejected", ({ op, error }) => {
    // What an earlier visit left is told by the client, for all entities.
    if (op.restored) return;
    if (op.type === "post") unsent.failed(op.body, error);
    else toast(explain(error));
  });
  live.on("close", (error) => error && toast(`The room cannot be opened: ${explain(error)}`));
  client.on("state", ({ state }) => state === "connected" && show());
  byId("older-button").addEventListener("click", () => void loadEarlier());

  return {
    /** @param {string} text */
    post(text) {
      void live.send("post", { text, name: name() });
      timeline.toEnd();
    },
    /** @param {any} body @param {unknown} error */
    leftFailed: (body, error) => unsent.failed(body, error),
  };
}
