/** A client recognizes its own events. */
import assert from "node:assert/strict";
import test from "node:test";
import { event, LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const LOBBY = "room:lobby";
const rates = { requests: { per_second: 1_000, burst: 1_000 } };
const hello = { limits: { ...LIMITS, rates } };

/** Connected and subscribed, with a count as an app makes it: the state, and what is pending on top. */
async function counting(t) {
  const all = await story(t);
  const client = all.connect();
  const room = client.entity(LOBBY);
  const counts = [];
  let state = 0;
  const count = () => counts.push(state + room.pending.length);
  const sub = room.subscribe();
  sub.on("item", (item) => {
    state = item.kind === "event" ? state + 1 : item.snapshot;
    count();
  });
  client.on("pending", count);
  const peer = await all.server.welcome({ ...hello, subscriptions: [{ entity: LOBBY, result: { entity: LOBBY, epoch: "e", seq: 0, snapshot: 0 } }] });
  await sub.ready;
  return { ...all, client, room, sub, peer, counts };
}

test("an event that comes before its answer is marked, and its op is pending no longer", async (t) => {
  const { client, room, sub, peer, counts } = await counting(t);
  const op = room.send("post", { text: "hi" });
  const request = await peer.expect("send");
  assert.match(request.params.tag, /^[a-z0-9]{18}$/);
  const seen = next(sub, "event");
  peer.notify("event", { entity: LOBBY, ...event(1), tag: request.params.tag });
  const item = await seen;
  assert.deepEqual([item.own, item.tag], [true, request.params.tag]);
  assert.deepEqual([room.pending, client.pending], [[], []]);
  peer.reply(request, { seq: 1, epoch: "e", at: 1 });
  assert.equal((await op).seq, 1);
  assert.ok(counts.every((count) => count <= 1), `counted ${counts}`);
});

test("events of others, and those that merely look like it, are not one's own", async (t) => {
  const { room, sub, peer } = await counting(t);
  room.send("post", {}).catch(() => {});
  await peer.expect("send");
  const seen = next(sub, "event", ({ seq }) => seq === 2);
  peer.event(LOBBY, 1);
  peer.notify("event", { entity: LOBBY, ...event(2), tag: "somebody-elses" });
  const item = await seen;
  assert.deepEqual([item.own, item.tag], [undefined, "somebody-elses"]);
  assert.equal(room.pending.length, 1);
});

test("an op whose answer was lost is recognized when the subscription is resumed, and repeated under its tag", async (t) => {
  const { server, clock, client, room, sub, peer, counts } = await counting(t);
  const op = room.send("post", {});
  const { tag, n } = (await peer.expect("send")).params;
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const seen = next(sub, "event");
  const again = await server.welcome({ ...hello, subscriptions: [{ entity: LOBBY, result: { entity: LOBBY, epoch: "e", seq: 1, events: [{ ...event(1), tag }] } }] });
  assert.equal((await seen).own, true);
  const repeat = await again.expect("send");
  assert.deepEqual([repeat.params.tag, repeat.params.n], [tag, n]);
  again.reply(repeat, { seq: 1, epoch: "e", at: 1, duplicate: true });
  await op;
  assert.ok(counts.every((count) => count <= 1), `counted ${counts}`);
});

test("an event after its answer, and one in the history, are recognized too", async (t) => {
  const { room, sub, peer } = await counting(t);
  const op = room.send("post", {});
  const request = await peer.expect("send");
  peer.reply(request, { seq: 1, epoch: "e", at: 1 });
  await op;
  const { tag } = request.params;
  const seen = next(sub, "event");
  peer.notify("event", { entity: LOBBY, ...event(1), tag });
  assert.equal((await seen).own, true);
  const page = room.history();
  peer.reply(await peer.expect("history"), { epoch: "e", events: [{ ...event(1), tag }, { ...event(2), tag: "x" }, event(3)], more: false });
  assert.deepEqual((await page).events.map(({ own }) => own), [true, undefined, undefined]);
});

test("a deleted event says so", async (t) => {
  const { sub, peer } = await counting(t);
  const seen = next(sub, "event");
  peer.notify("event", { entity: LOBBY, ...event(1, null), deleted: true });
  assert.deepEqual(await seen, { kind: "event", entity: LOBBY, seq: 1, at: 1, from: "bob", type: "post", body: null, deleted: true });
});
