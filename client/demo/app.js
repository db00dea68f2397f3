/** The demo: reads the address, connects, and ties the parts of the page to one client. */
import { connect, indexedDbStorage } from "/client/greenroom.js";
import { openChecklist } from "./checklist.js";
import { openComposer } from "./composer.js";
import { byId, explain, toast } from "./dom.js";
import { askName } from "./name.js";
import { openPanel } from "./panel.js";
import { showPresence } from "./presence.js";
import { openRoom } from "./room.js";
import { showStatus } from "./status.js";
import { followTyping } from "./typing.js";

const client = connect({ url: "/ws", storage: pageStorage() });
openPanel(client);
showStatus(client);

const id = roomId();
byId("room-name").textContent = id;
document.title = `${id} · Greenroom`;

const entity = client.entity(`room:${id}`);
const subscription = entity.subscribe({ presence: true, signals: "latest" });
const name = askName(client, (chosen) => void entity.presence.enter({ name: chosen }).catch((error) => toast(explain(error))));
showPresence(client, subscription);
const room = openRoom(client, entity.live({ optimistic: true }), name);
openComposer(room, followTyping(entity, subscription, name));
client.on("error", (error) => {
  const { op } = error;
  if (op?.entity === entity.id && op.type === "post") room.leftFailed(op.body, error);
  else toast(explain(error));
});
openChecklist(client.entity(id === "lobby" ? "doc:checklist" : `doc:${id}`).live({ optimistic: true }));

for (const tab of document.querySelectorAll(".tabs button")) {
  tab.addEventListener("click", () => {
    document.body.dataset.view = /** @type {HTMLElement} */ (tab).dataset.view;
    for (const other of document.querySelectorAll(".tabs button")) other.setAttribute("aria-pressed", String(other === tab));
  });
}

/** `?room=…`, or the lobby. */
function roomId() {
  const asked = new URLSearchParams(location.search).get("room");
  if (!asked) return "lobby";
  if (/^[A-Za-z0-9_.~@:/+=-]{1,128}$/.test(asked)) return asked;
  toast("That room has no valid name; this is the lobby.");
  return "lobby";
}

/** What is unsent when the tab is closed goes out with the next visit. Not every browser allows it, and the page works without. */
function pageStorage() {
  try {
    return indexedDbStorage();
  } catch {
    return null;
  }
}
