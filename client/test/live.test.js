/** Live states where the server answers in orders that a real one rarely shows. */
import assert from "node:assert/strict";
import test from "node:test";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const DOC = "doc:x";
const ROOM = "room:x";
const rates = { requests: { per_second: 1_000, burst: 1_000 } };
const hello = { limits: { ...LIMITS, rates } };
const like = { path: "/likes", by: 1 };

/** A connected client with a live entity, whose snapshot is `snapshot` at seq 0. */
async function live(t, entity, snapshot, options = { optimistic: true }, connect = {}) {
  const all = await story(t);
  const client = all.connect(connect);
  const live = client.entity(entity).live(options);
  const peer = await all.server.welcome({ ...hello, subscriptions: [{ entity, result: { entity, epoch: "e", seq: 0, snapshot } }] });
  await live.ready;
  // All that was ever shown.
  const shown = [];
  const look = () => shown.push(live.state);
  live.subscribe(look);
  const happened = (seq, type, body, { tag, from = "bob" } = {}) => peer.notify("event", { entity, seq, at: seq, from, type, body, ...(tag && { tag }) });
  return { ...all, client, live, peer, shown, happened };
}

test("one's own op shows at once, and once, when its event comes before its answer", async (t) => {
  const { live: doc, peer, shown, happened } = await live(t, DOC, { likes: 0 });
  const sent = doc.send("increment", like);
  assert.deepEqual(doc.state, { likes: 1 });
  assert.deepEqual(doc.pending.map(({ type, body }) => [type, body]), [["increment", like]]);
  const request = await peer.expect("send");
  happened(1, "increment", like, { tag: request.params.tag, from: "ann" });
  peer.reply(request, { seq: 1, epoch: "e", at: 1 });
  await sent;
  assert.deepEqual(doc.pending, []);
  assert.ok(shown.every(({ likes }) => likes === 1), JSON.stringify(shown));
  assert.deepEqual(doc.position, { epoch: "e", seq: 1 });
});

test("and when its answer comes before its event", async (t) => {
  const { live: doc, peer, shown, happened } = await live(t, DOC, { likes: 0 });
  const sent = doc.send("increment", like);
  const request = await peer.expect("send");
  peer.reply(request, { seq: 2, epoch: "e", at: 1 });
  await sent;
  assert.equal(doc.pending.length, 1, "it is answered, and the state has not come that far");
  happened(1, "increment", { path: "/likes", by: 10 });
  await next(doc, "change");
  happened(2, "increment", like, { tag: request.params.tag, from: "ann" });
  while (doc.pending.length > 0) await new Promise((resolve) => doc.subscribe(resolve));
  assert.deepEqual([...new Set(shown.map(({ likes }) => likes))], [1, 11]);
});

test("what others do comes below one's own ops, and what does not apply there waits to be decided", async (t) => {
  const { live: doc, peer, happened } = await live(t, DOC, { list: ["a"] });
  const sent = [
    doc.send("patch", [{ op: "add", path: "/list/-", value: "mine" }]),
    doc.send("patch", [{ op: "replace", path: "/list/0", value: "A" }]),
  ];
  const rejections = [];
  doc.on("rejected", (rejection) => rejections.push(rejection));
  const first = await peer.expect("send");
  assert.deepEqual(doc.state, { list: ["A", "mine"] });
  happened(1, "set", { path: "/list", value: [] });
  await next(doc, "change");
  assert.deepEqual(doc.state, { list: ["A"] }, "the second replaces what it finds now");
  happened(2, "set", { path: "/list", value: 7 });
  await next(doc, "change");
  assert.deepEqual(doc.state, { list: 7 }, "neither applies");
  assert.equal(doc.pending.length, 2);
  peer.fail(first, "rejected", { reason: "patch_failed" });
  peer.fail(await peer.expect("send"), "rejected", { reason: "patch_failed" });
  // Nobody catches these: that somebody listens is enough.
  while (rejections.length < 2) await next(doc, "rejected");
  assert.deepEqual(rejections.map(({ op, error }) => [op.body[0].op, error.reason]), [["add", "patch_failed"], ["replace", "patch_failed"]]);
  assert.deepEqual(doc.pending, []);
  await assert.rejects(sent[0], { code: "rejected" });
});

test("where nobody listens, a refusal is the caller's", async (t) => {
  const { live: doc, peer } = await live(t, DOC, {});
  const sent = doc.send("increment", like);
  peer.fail(await peer.expect("send"), "rejected", { reason: "not_a_number" });
  await assert.rejects(sent, { reason: "not_a_number" });
  assert.deepEqual(doc.state, {});
});

test("a snapshot that may hold an op already does not show it twice", async (t) => {
  const { live: doc, peer, server, client, clock, shown } = await live(t, DOC, { likes: 0 });
  const sent = doc.send("increment", like);
  await peer.expect("send");
  const queued = doc.send("increment", { path: "/likes", by: 10 });
  assert.deepEqual(doc.state, { likes: 11 });
  peer.cut();
  await inState(client, "waiting");
  assert.equal(doc.status, "stale");
  assert.deepEqual(doc.state, { likes: 11 });
  clock.advance(1_000);
  // The first op has happened; its answer was lost with the connection.
  const again = await server.welcome({ ...hello, subscriptions: [{ entity: DOC, result: { entity: DOC, epoch: "e", seq: 500, snapshot: { likes: 101 }, reason: "too_old" } }] });
  const request = await again.expect("send");
  assert.deepEqual(doc.state, { likes: 111 });
  again.reply(request, { seq: 499, epoch: "e", at: 1, duplicate: true });
  await sent;
  assert.deepEqual(doc.state, { likes: 111 });
  const second = await again.expect("send");
  again.notify("event", { entity: DOC, seq: 501, at: 1, from: "ann", type: "increment", body: { path: "/likes", by: 10 }, tag: second.params.tag });
  again.reply(second, { seq: 501, epoch: "e", at: 1 });
  await queued;
  assert.deepEqual(doc.state, { likes: 111 });
  assert.ok(shown.every(({ likes }) => [1, 11, 111].includes(likes)), JSON.stringify(shown));
  assert.equal(doc.status, "live");
});

test("a message keeps its key when it is confirmed, and comes to its place", async (t) => {
  const { live: room, peer, happened } = await live(t, ROOM, { messages: [] });
  const sent = room.send("post", { text: "mine" });
  const [mine] = room.state.messages;
  assert.deepEqual([mine.seq, mine.from, mine.pending, mine.body.text], [null, "ann", true, "mine"]);
  const request = await peer.expect("send");
  happened(1, "post", { text: "theirs" });
  await next(room, "change");
  assert.deepEqual(room.state.messages.map(({ body }) => body.text), ["theirs", "mine"]);
  happened(2, "post", { text: "mine" }, { tag: request.params.tag, from: "ann" });
  peer.reply(request, { seq: 2, epoch: "e", at: 1 });
  await sent;
  const confirmed = room.state.messages[1];
  assert.deepEqual([confirmed.seq, confirmed.key, confirmed.pending], [2, mine.key, undefined]);
  assert.equal(room.state.messages[0].key, "1");
  const changed = next(room, "change");
  peer.notify("reset", { entity: ROOM, epoch: "e", seq: 300, snapshot: { messages: [{ seq: 2, at: 2, from: "ann", body: { text: "mine" } }] }, reason: "too_old" });
  assert.deepEqual((await changed).state.messages.map(({ key }) => key), [mine.key]);
  const other = next(room, "change");
  peer.notify("reset", { entity: ROOM, epoch: "f", seq: 2, snapshot: { messages: [{ seq: 2, at: 2, from: "ann", body: { text: "another" } }] }, reason: "epoch_changed" });
  assert.deepEqual((await other).state.messages.map(({ key }) => key), ["2"]);
});

test("without `optimistic` one's own ops show when they are confirmed, and are listed before", async (t) => {
  const { live: doc, peer, happened } = await live(t, DOC, { likes: 0 }, {});
  const sent = doc.send("increment", like);
  assert.deepEqual(doc.state, { likes: 0 });
  assert.equal(doc.pending.length, 1);
  const request = await peer.expect("send");
  happened(1, "increment", like, { tag: request.params.tag, from: "ann" });
  peer.reply(request, { seq: 1, epoch: "e", at: 1 });
  await sent;
  assert.deepEqual([doc.state, doc.pending], [{ likes: 1 }, []]);
});

test("listeners are called once a turn; a snapshot is the same object until something changes", async (t) => {
  const { live: doc, peer, happened, shown } = await live(t, DOC, { likes: 0 }, {});
  const before = doc.getSnapshot();
  assert.equal(doc.getSnapshot(), before);
  const changes = [];
  doc.on("change", (change) => changes.push(change));
  const thirdIsHere = next(doc, "change", () => doc.position.seq === 3);
  peer.together(() => {
    for (const seq of [1, 2, 3]) happened(seq, "increment", like);
  });
  await thirdIsHere;
  assert.deepEqual(changes.flatMap(({ events }) => events.map(({ seq }) => seq)), [1, 2, 3]);
  assert.deepEqual(changes[0].previous, { likes: 0 });
  assert.equal(changes.at(-1).state, doc.state);
  assert.equal(shown.length, changes.length);
  assert.notEqual(doc.getSnapshot(), before);
  assert.deepEqual(before.state, { likes: 0 });
});

test("one turn, however much is done in it, is one call", async (t) => {
  const { live: doc, shown } = await live(t, DOC, { likes: 0 });
  for (let k = 0; k < 100; k += 1) doc.send("increment", like).catch(() => {});
  assert.deepEqual(doc.state, { likes: 100 });
  await null;
  assert.equal(shown.length, 1);
});

test("`for await` gives the latest state, and leaving it ends the subscription", async (t) => {
  const { live: doc, peer, happened } = await live(t, DOC, { likes: 0 }, {});
  const seen = [];
  for await (const { likes } of doc) {
    seen.push(likes);
    if (likes === 0) happened(1, "increment", like);
    if (likes === 1) {
      // While the loop is busy, more happens than it gets to see.
      happened(2, "increment", like);
      happened(3, "increment", like);
      while (doc.position.seq < 3) await next(doc, "change");
    }
    if (likes === 3) break;
  }
  assert.deepEqual(seen, [0, 1, 3]);
  assert.equal(doc.status, "closed");
  assert.equal((await peer.expect("unsubscribe")).params.entity, DOC);
  assert.deepEqual(await doc[Symbol.asyncIterator]().next(), { done: false, value: { likes: 3 } }, "the last state stays");
});

test("what may not be read is told in every way there is", async (t) => {
  const { server, connect } = await story(t);
  const doc = connect().entity(DOC).live();
  const closed = next(doc, "close");
  const error = { code: -32003, message: "no", data: { code: "forbidden" } };
  await server.welcome({ ...hello, subscriptions: [{ entity: DOC, error }] });
  await assert.rejects(doc.ready, { code: "forbidden" });
  assert.equal((await closed).code, "forbidden");
  assert.deepEqual([doc.state, doc.status, doc.error.code], [undefined, "closed", "forbidden"]);
  await assert.rejects(doc[Symbol.asyncIterator]().next(), { code: "forbidden" });
});

test("an event that does not fit has the state read anew", async (t) => {
  const { live: doc, peer, happened } = await live(t, DOC, { list: [] }, {});
  happened(1, "patch", [{ op: "remove", path: "/list/7" }]);
  await peer.expect("unsubscribe").then((request) => peer.reply(request, {}));
  const request = await peer.expect("subscribe");
  assert.equal(request.params.after, undefined);
  assert.equal(doc.status, "stale");
  const changed = next(doc, "change");
  peer.reply(request, { entity: DOC, epoch: "e", seq: 1, snapshot: { list: ["right"] } });
  assert.deepEqual((await changed).state, { list: ["right"] });
  assert.equal(doc.status, "live");
});

test("a live state that is closed follows nothing any more", async (t) => {
  const { live: doc, peer, client, shown } = await live(t, DOC, { likes: 0 });
  doc.close();
  await peer.expect("unsubscribe");
  await null;
  const calls = shown.length;
  client.entity(DOC).send("increment", like).catch(() => {});
  await null;
  assert.deepEqual([doc.state, doc.status, shown.length], [{ likes: 0 }, "closed", calls]);
});

test("what an earlier page left shows as well", async (t) => {
  const saved = { client: "01CLIENT", user: "ann", nextN: 8, ops: [{ n: null, entity: ROOM, type: "post", body: { text: "left" } }] };
  const storage = new Map([["greenroom", JSON.stringify(saved)]]);
  const sessionStorage = { getItem: () => storage.get("greenroom") ?? null, setItem: () => {}, removeItem: () => storage.clear() };
  const { live: room } = await live(t, ROOM, { messages: [] }, { optimistic: true }, { storage: sessionStorage });
  const [message] = room.state.messages;
  assert.deepEqual([message.body.text, message.pending, message.restored], ["left", true, true]);
  assert.equal(room.pending[0].restored, true);
});

test("one's own ops are listed before there is a state", async (t) => {
  const { connect } = await story(t);
  const doc = connect().entity(DOC).live({ optimistic: true });
  doc.send("increment", like).catch(() => {});
  assert.deepEqual([doc.state, doc.status, doc.pending.map(({ type }) => type)], [undefined, "loading", ["increment"]]);
});

test("what a kind does is known or has to be said", async (t) => {
  const { connect } = await story(t);
  const client = connect();
  assert.throws(() => client.entity("plan:x").live(), { code: "invalid_argument", message: /pass `behaviour`/ });
  assert.throws(() => client.entity("plan:x").live({ behaviour: "rom" }), { code: "invalid_argument", message: /`rom`/ });
  assert.throws(() => client.entity("room:x").live({ limit: 0 }), { code: "invalid_argument", message: /`limit`/ });
  client.entity("plan:x").live({ behaviour: "document" }).close();
  const room = client.entity("plan:x").live({ behaviour: "room" });
  await assert.rejects(room.loadEarlier(0), { code: "invalid_argument" });
  room.close();
});
