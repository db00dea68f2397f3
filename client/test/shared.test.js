/** Several subscriptions to one entity, and those that are closed before they have begun. */
import assert from "node:assert/strict";
import test from "node:test";
import { event, LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const LOBBY = "room:lobby";
const snapshot = (seq, more = {}) => ({ entity: LOBBY, epoch: "e1", seq, snapshot: { upTo: seq }, reason: "no_position", ...more });
const short = (item) => (item.kind === "event" ? item.seq : `${item.kind} ${item.seq ?? item.type ?? item.count}`);

async function connected(t, hello = {}) {
  const all = await story(t);
  const client = all.connect();
  const peer = await all.server.welcome(hello);
  await inState(client, "connected");
  const room = client.entity(LOBBY);
  const open = (options) => {
    const sub = room.subscribe(options);
    const items = [];
    sub.on("item", (item) => items.push(short(item)));
    return { sub, items };
  };
  /** The first subscription, live. */
  const first = async (options, result = snapshot(0)) => {
    const opened = open(options);
    peer.reply(await peer.expect("subscribe"), result);
    await opened.sub.ready;
    return opened;
  };
  const seen = (sub, seq) => next(sub, "event", (item) => item.seq === seq);
  const nothingMore = async (line = peer) => {
    client.entity("room:other").signal("mark", {});
    await line.expect("signal");
  };
  return { ...all, client, peer, room, open, first, seen, nothingMore };
}

test("two parts of a page that want one entity both get the state first, then all events; closing one keeps the other", async (t) => {
  const { peer, open, first, seen, nothingMore } = await connected(t);
  const a = await first();
  let last = seen(a.sub, 1);
  peer.event(LOBBY, 1);
  await last;
  const b = open();
  assert.equal(b.sub.state, "pending");
  // Events between the second's question and its answer are in the answer.
  last = seen(a.sub, 2);
  const read = await peer.expect("read");
  peer.together(() => {
    peer.event(LOBBY, 2);
    peer.reply(read, { epoch: "e1", seq: 2, state: { upTo: 2 } });
  });
  await Promise.all([last, b.sub.ready]);
  last = seen(b.sub, 4);
  peer.event(LOBBY, 3);
  peer.event(LOBBY, 4);
  await last;
  a.sub.close();
  last = seen(b.sub, 5);
  peer.event(LOBBY, 5);
  await last;
  assert.deepEqual(a.items, ["snapshot 0", 1, 2, 3, 4]);
  assert.deepEqual(b.items, ["snapshot 2", 3, 4, 5]);
  await nothingMore();
  b.sub.close();
  assert.deepEqual((await peer.expect("unsubscribe")).params, { entity: LOBBY });
});

test("what arrives while the second one reads the state is read from the history", async (t) => {
  const { peer, open, first, seen } = await connected(t);
  const a = await first();
  const b = open();
  const read = await peer.expect("read");
  const last = seen(a.sub, 2);
  peer.event(LOBBY, 1);
  peer.event(LOBBY, 2);
  await last;
  peer.reply(read, { epoch: "e1", seq: 0, state: { upTo: 0 } });
  const page = await peer.expect("history");
  assert.deepEqual(page.params, { entity: LOBBY, after: 0, limit: 200 });
  peer.reply(page, { epoch: "e1", events: [event(1), event(2)], more: false });
  await b.sub.ready;
  assert.deepEqual(b.items, ["snapshot 0", 1, 2]);
});

test("a second one that knows a position goes on from there, or gets a reset", async (t) => {
  const { peer, open, first } = await connected(t);
  await first({}, snapshot(9));
  const b = open({ after: { epoch: "e1", seq: 7 } });
  peer.reply(await peer.expect("history"), { epoch: "e1", events: [event(8), event(9)], more: false });
  await b.sub.ready;
  assert.deepEqual(b.items, [8, 9]);
  const c = open({ after: { epoch: "e1", seq: 2 } });
  peer.reply(await peer.expect("history"), { epoch: "e1", events: [event(6)], more: true });
  peer.reply(await peer.expect("read"), { epoch: "e1", seq: 9, state: {} });
  await c.sub.ready;
  assert.deepEqual(c.items, ["reset 9"]);
});

test("subscriptions made before the first answer share it", async (t) => {
  const { peer, open, nothingMore } = await connected(t);
  const both = [open(), open()];
  peer.reply(await peer.expect("subscribe"), snapshot(3));
  await Promise.all(both.map(({ sub }) => sub.ready));
  for (const { items } of both) assert.deepEqual(items, ["snapshot 3"]);
  await nothingMore();
});

test("each gets what it asked for, and the server is asked for the most", async (t) => {
  const { peer, open, first } = await connected(t);
  const a = await first({ signals: "none" });
  const b = open({ presence: true, signals: "latest", events: "none" });
  const more = await peer.expect("subscribe");
  assert.deepEqual(more.params, { entity: LOBBY, after: { epoch: "e1", seq: 0 }, signals: "latest", presence: true });
  peer.reply(more, { entity: LOBBY, epoch: "e1", seq: 0, events: [], presence: { count: 1, members: [{ user: "ann", meta: {}, sessions: 1 }] } });
  peer.reply(await peer.expect("read"), { epoch: "e1", seq: 0, state: {} });
  await b.sub.ready;
  const last = next(b.sub, "signal");
  peer.event(LOBBY, 1);
  peer.notify("presence", { entity: LOBBY, joined: [{ user: "bob", meta: {}, sessions: 1 }], count: 2 });
  peer.notify("signal", { entity: LOBBY, from: "bob", type: "typing", body: 1 });
  await last;
  assert.deepEqual(a.items, ["snapshot 0", 1]);
  assert.deepEqual(b.items, ["snapshot 0", "presence 1", "presence 2", "signal typing"]);
  assert.deepEqual(b.sub.members.map(({ user }) => user), ["ann", "bob"]);
  assert.equal(a.sub.members, null);
});

test("a loss while the second one is being brought up to date costs neither anything", async (t) => {
  const { server, clock, client, peer, open, first } = await connected(t);
  const a = await first({}, snapshot(4));
  const b = open();
  await peer.expect("read");
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const again = await server.accept();
  const hello = await again.expect("connect");
  assert.deepEqual(hello.params.subscriptions, [{ entity: LOBBY, after: { epoch: "e1", seq: 4 } }]);
  again.hello(hello, { subscriptions: [{ entity: LOBBY, result: { entity: LOBBY, epoch: "e1", seq: 5, events: [event(5)] } }] });
  again.reply(await again.expect("read"), { epoch: "e1", seq: 5, state: {} });
  await b.sub.ready;
  const last = next(b.sub, "event");
  again.event(LOBBY, 6);
  await last;
  assert.deepEqual([a.items, b.items], [["snapshot 4", 5, 6], ["snapshot 5", 6]]);
});

test("a reset reaches all of them, and a refusal ends all of them", async (t) => {
  const { peer, open, first } = await connected(t);
  const a = await first();
  const b = open();
  await peer.expect("read");
  const reset = next(a.sub, "reset");
  peer.notify("reset", snapshot(8, { epoch: "e2", reason: "epoch_changed" }));
  await reset;
  await b.sub.ready;
  assert.deepEqual([a.items, b.items], [["snapshot 0", "reset 8"], ["snapshot 8"]]);
  const closed = [a, b].map(({ sub }) => next(sub, "close"));
  peer.notify("unsubscribed", { entity: LOBBY, reason: "forbidden" });
  for (const error of await Promise.all(closed)) assert.equal(error.code, "forbidden");
});

test("where reading the state is refused only the second one ends", async (t) => {
  const { peer, open, first, nothingMore } = await connected(t);
  const a = await first();
  const b = open();
  peer.fail(await peer.expect("read"), "forbidden");
  await assert.rejects(b.sub.ready, { code: "forbidden" });
  assert.equal(a.sub.state, "live");
  await nothingMore();
});

test("70 subscriptions that are closed in the same turn leave nothing behind", async (t) => {
  const { client, peer, nothingMore } = await connected(t, { limits: { ...LIMITS, max_in_flight: 8 } });
  for (let k = 0; k < 70; k += 1) client.entity(`room:r${k}`).subscribe().close();
  const open = new Set();
  for (let k = 0; k < 6; k += 1) {
    const request = await peer.expect("subscribe");
    open.add(request.params.entity);
    peer.reply(request, { ...snapshot(0), entity: request.params.entity });
  }
  for (let k = 0; k < 6; k += 1) {
    const request = await peer.expect("unsubscribe");
    assert.ok(open.delete(request.params.entity));
    peer.reply(request, {});
  }
  await nothingMore();
  assert.equal(open.size, 0);
});

test("one that is closed and made again while it is asked for begins with a state of its own", async (t) => {
  const { peer, open } = await connected(t);
  const a = open({ after: { epoch: "e1", seq: 3 } });
  const request = await peer.expect("subscribe");
  a.sub.close();
  const b = open();
  peer.reply(request, { entity: LOBBY, epoch: "e1", seq: 4, events: [event(4)] });
  const again = await peer.expect("subscribe");
  assert.equal(again.params.after, undefined);
  peer.reply(again, snapshot(4));
  await b.sub.ready;
  assert.deepEqual([a.items, b.items], [[], ["snapshot 4"]]);
});

test("one that is made again while it is being ended is asked for after that", async (t) => {
  const { peer, open, first } = await connected(t);
  const a = await first();
  a.sub.close();
  const ending = await peer.expect("unsubscribe");
  const b = open();
  peer.event(LOBBY, 1);
  peer.reply(ending, {});
  peer.reply(await peer.expect("subscribe"), snapshot(1));
  await b.sub.ready;
  assert.deepEqual(b.items, ["snapshot 1"]);
});

test("one that is closed while `connect` carries it is ended, and one that was not sent is forgotten", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const sub = client.entity(LOBBY).subscribe();
  const peer = await server.accept();
  const request = await peer.expect("connect");
  sub.close();
  client.entity("room:b").subscribe().close();
  peer.hello(request, { subscriptions: [{ entity: LOBBY, result: snapshot(0) }] });
  assert.deepEqual((await peer.expect("unsubscribe")).params, { entity: LOBBY });
  client.entity(LOBBY).signal("mark", {});
  await peer.expect("signal");
});
