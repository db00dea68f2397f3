import { byId, explain, toast } from "./dom.js";
import { Messages } from "./messages.js";
import { Timeline } from "./timeline.js";
import { Unsent } from "./unsent.js";

const PAGE = 100;

/**
 * The conversation: one subscription that feeds the messages, and the ops that change them.
 * @param {import("../greenroom.js").Client} client
 * @param {import("../greenroom.js").Entity} entity
 * @param {import("../greenroom.js").Subscription} subscription
 * @param {() => string} name
 */
export function openRoom(client, entity, subscription, name) {
  const messages = new Messages();
  const older = byId("older");
  /** @type {number | null} the history is known from here on; null when all of it is */
  let from = null;
  let loading = false;

  const failed = (/** @type {unknown} */ error) => toast(explain(error));
  const timeline = new Timeline({
    edit: (seq, text) => void entity.send("edit", { seq, body: { text, name: name() } }).catch(failed),
    remove: (seq) => void entity.send("delete", { seq }).catch(failed),
    react: (seq, emoji, mine) => void entity.send("react", mine ? { seq, emoji, remove: true } : { seq, emoji }).catch(failed),
    older: () => void loadOlder(),
  });
  const unsent = new Unsent(entity, messages, () => client.user, () => show());
  const show = (isOlder = false) => {
    timeline.show(messages.all, client.user, isOlder);
    byId("chat-empty").hidden = messages.size + unsent.size > 0 || from !== null || subscription.position === null;
    older.hidden = from === null || messages.size === 0;
  };
  timeline.changed = show;

  // The events between the snapshot and its oldest message may change messages that are older
  // still, so the way back begins at the snapshot's end. What is known already is passed over.
  async function loadOlder() {
    if (loading || from === null) return;
    loading = true;
    const { epoch } = subscription.position ?? {};
    try {
      for (let added = 0; added === 0 && from !== null; ) {
        const page = await entity.history({ before: from, limit: PAGE });
        if (page.epoch !== subscription.position?.epoch || epoch !== page.epoch) break;
        added = messages.prepend(page.events);
        from = page.more && page.events[0] ? page.events[0].seq : null;
      }
      show(true);
    } catch (error) {
      failed(error);
    } finally {
      loading = false;
    }
  }

  const restart = (/** @type {{seq: number, snapshot: any}} */ item) => {
    messages.replace(item.snapshot);
    from = item.seq > messages.size ? item.seq + 1 : null;
    show();
  };
  subscription.on("snapshot", restart);
  subscription.on("reset", restart);
  subscription.on("event", (event) => {
    messages.apply(event);
    unsent.seen(event.seq);
    show();
  });
  subscription.on("close", (error) => error && toast(`The room cannot be opened: ${explain(error)}`));
  client.on("state", ({ state }) => state === "connected" && show());
  client.on("pending", () => unsent.showLeft());
  byId("older-button").addEventListener("click", () => void loadOlder());

  return {
    /** @param {string} text */
    post(text) {
      unsent.add({ text, name: name() });
      timeline.toEnd();
    },
    /** @param {any} body @param {unknown} error */
    leftFailed: (body, error) => unsent.leftFailed(body, error),
  };
}
