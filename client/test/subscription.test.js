import assert from "node:assert/strict";
import test from "node:test";
import { event, LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const LOBBY = "room:lobby";
const snapshot = (seq, more = {}) => ({ entity: LOBBY, epoch: "e1", seq, snapshot: { upTo: seq }, reason: "no_position", ...more });
const answer = (result) => ({ subscriptions: [{ entity: LOBBY, result }] });
const member = (user, name) => ({ user, meta: { name }, sessions: 1 });

/** A client whose only subscription is live, at `seq`. */
async function live(t, { seq = 0, options = {}, client: clientOptions = {} } = {}) {
  const all = await story(t);
  const client = all.connect(clientOptions);
  const sub = client.entity(LOBBY).subscribe(options);
  const items = [];
  sub.on("item", (item) => items.push(item));
  const presence = options.presence ? { presence: { count: 0, members: [] } } : {};
  const peer = await all.server.welcome(answer(snapshot(seq, presence)));
  await sub.ready;
  return { ...all, client, sub, items, peer };
}

const short = (item) => (item.kind === "event" ? item.seq : `${item.kind} ${item.seq ?? ""}`.trim());

test("subscriptions made before the connection travel in `connect`, and the iterator starts with the snapshot", async (t) => {
  const { sub, peer } = await live(t, { seq: 3, options: { signals: "latest" } });
  assert.deepEqual(peer.connectParams.subscriptions, [{ entity: LOBBY, signals: "latest" }]);
  peer.event(LOBBY, 4);
  peer.notify("signal", { entity: LOBBY, from: "bob", type: "typing", body: 1, key: "k" });
  const iterator = sub[Symbol.asyncIterator]();
  const got = [];
  for (let k = 0; k < 3; k += 1) got.push((await iterator.next()).value);
  assert.deepEqual(got, [
    { kind: "snapshot", entity: LOBBY, epoch: "e1", seq: 3, snapshot: { upTo: 3 }, reason: "no_position" },
    { kind: "event", entity: LOBBY, ...event(4) },
    { kind: "signal", entity: LOBBY, from: "bob", type: "typing", body: 1, key: "k" },
  ]);
});

test("an answer and the events behind it may come in one packet", async (t) => {
  const { connect, server } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const sub = client.entity(LOBBY).subscribe();
  const items = [];
  sub.on("item", (item) => items.push(short(item)));
  const request = await peer.expect("subscribe");
  const last = next(sub, "event", ({ seq }) => seq === 7);
  peer.together(() => {
    peer.reply(request, snapshot(5));
    peer.event(LOBBY, 6);
    peer.event(LOBBY, 7);
  });
  await last;
  assert.deepEqual(items, ["snapshot 5", 6, 7]);
});

test("after a loss it goes on from its position, and what comes twice is seen once", async (t) => {
  const { server, clock, client, sub, items, peer } = await live(t);
  const second = next(sub, "event", ({ seq }) => seq === 2);
  peer.event(LOBBY, 1);
  peer.event(LOBBY, 2);
  await second;
  const docs = client.entity("doc:b").subscribe();
  peer.reply(await peer.expect("subscribe"), { entity: "doc:b", epoch: "d", seq: 9, snapshot: {} });
  await docs.ready;
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);

  const again = await server.accept();
  const request = await again.expect("connect");
  assert.deepEqual(request.params.subscriptions, [
    { entity: LOBBY, after: { epoch: "e1", seq: 2 } },
    { entity: "doc:b", after: { epoch: "d", seq: 9 } },
  ]);
  const fifth = next(sub, "event", ({ seq }) => seq === 5);
  again.together(() => {
    again.hello(request, {
      subscriptions: [
        { entity: LOBBY, result: { entity: LOBBY, epoch: "e1", seq: 4, events: [event(2), event(3), event(4)] } },
        { entity: "doc:b", result: { entity: "doc:b", epoch: "d", seq: 9, events: [] } },
      ],
    });
    again.event(LOBBY, 4);
    again.event(LOBBY, 5);
  });
  await fifth;
  assert.deepEqual(items.map(short), ["snapshot 0", 1, 2, 3, 4, 5]);
});

test("a position that the server cannot continue gives a reset", async (t) => {
  const { server, clock, client, sub, peer } = await live(t);
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const reset = next(sub, "reset");
  await server.welcome(answer(snapshot(40, { epoch: "e2", reason: "epoch_changed" })));
  assert.deepEqual(await reset, { kind: "reset", entity: LOBBY, epoch: "e2", seq: 40, snapshot: { upTo: 40 }, reason: "epoch_changed" });
  assert.deepEqual(sub.position, { epoch: "e2", seq: 40 });
});

test("a reset on the live connection replaces the position", async (t) => {
  const { sub, items, peer } = await live(t);
  const after = next(sub, "event");
  peer.notify("reset", { entity: LOBBY, epoch: "e2", seq: 1, snapshot: {}, reason: "too_old" });
  peer.event(LOBBY, 2);
  await after;
  assert.deepEqual(items.map(short), ["snapshot 0", "reset 1", 2]);
});

test("a gap is noticed and repaired from the last position", async (t) => {
  const { sub, items, peer } = await live(t);
  peer.event(LOBBY, 1);
  peer.event(LOBBY, 3);
  peer.event(LOBBY, 4);
  const request = await peer.expect("subscribe");
  assert.deepEqual(request.params.after, { epoch: "e1", seq: 1 });
  const fifth = next(sub, "event", ({ seq }) => seq === 5);
  peer.reply(request, { entity: LOBBY, epoch: "e1", seq: 4, events: [event(2), event(3), event(4)] });
  peer.event(LOBBY, 5);
  await fifth;
  assert.deepEqual(items.map(short), ["snapshot 0", 1, 2, 3, 4, 5]);
});

test("a server that leaves gap after gap is asked more and more slowly", async (t) => {
  const { clock, client, sub, peer } = await live(t);
  const nothing = { entity: LOBBY, epoch: "e1", seq: 0, events: [] };
  peer.event(LOBBY, 2);
  const again = await peer.expect("subscribe");
  const heard = next(client, "message", ({ data }) => data.includes('"seq":3'));
  peer.reply(again, nothing);
  peer.event(LOBBY, 3);
  await heard;
  client.entity(LOBBY).signal("mark", {});
  await peer.expect("signal");
  clock.advance(250);
  const later = await peer.expect("subscribe");
  assert.equal(sub.state, "pending");
  peer.reply(later, { entity: LOBBY, epoch: "e1", seq: 3, events: [event(1), event(2), event(3)] });
  await next(sub, "event", ({ seq }) => seq === 3);
});

test("a refused subscription says so everywhere, and leaves the connection alone", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const sub = client.entity(LOBBY).subscribe();
  const closed = next(sub, "close");
  await server.welcome({ subscriptions: [{ entity: LOBBY, error: { code: -32003, message: "no", data: { code: "forbidden" } } }] });
  await assert.rejects(sub.ready, { code: "forbidden", rpcCode: -32003 });
  await assert.rejects(sub[Symbol.asyncIterator]().next(), { code: "forbidden" });
  assert.equal((await closed).code, "forbidden");
  assert.equal(client.state, "connected");
});

test("a subscription that was refused for a while is asked for again", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const sub = client.entity(LOBBY).subscribe();
  const heard = next(client, "message", ({ data }) => data.includes("unavailable"));
  peer.fail(await peer.expect("subscribe"), "unavailable", { retry_after_ms: 3_000 });
  await heard;
  clock.advance(3_000);
  peer.reply(await peer.expect("subscribe"), snapshot(2));
  await sub.ready;
  assert.equal(sub.position.seq, 2);
});

for (const code of ["overloaded", "unavailable", "rate_limited"]) {
  test(`put off within \`connect\` as ${code}, a subscription is asked for later, with jitter, from its position`, async (t) => {
    const { server, clock, connect } = await story(t, { random: 0.5 });
    const client = connect({ backoff: { baseMs: 0 } });
    const subs = [LOBBY, "room:other"].map((id) => client.entity(id).subscribe());
    const first = await server.welcome({ subscriptions: subs.map(({ entity }) => ({ entity, result: { ...snapshot(7), entity } })) });
    await Promise.all(subs.map(({ ready }) => ready));
    first.cut();
    await inState(client, "waiting");
    clock.advance(0);
    const peer = await server.accept();
    const request = await peer.expect("connect");
    assert.deepEqual(request.params.subscriptions.map(({ after }) => after.seq), [7, 7]);
    const event = next(subs[1], "event");
    peer.hello(request, {
      subscriptions: [
        { entity: LOBBY, error: { code: -32021, message: "later", data: { code, retry_after_ms: 900 } } },
        { entity: "room:other", result: { entity: "room:other", epoch: "e1", seq: 8, events: [{ seq: 8, at: 1, from: "bob", type: "post", body: {} }] } },
      ],
    });
    // One subscription's trouble is not another's.
    assert.equal((await event).seq, 8);
    // Half of the first 250 ms of backoff comes on top of what the server asks for.
    clock.advance(1_024);
    client.entity(LOBBY).signal("not yet", {});
    await peer.expect("signal");
    clock.advance(1);
    const again = await peer.expect("subscribe");
    assert.deepEqual(again.params.after, { epoch: "e1", seq: 7 });
    const missed = next(subs[0], "event");
    peer.reply(again, { entity: LOBBY, epoch: "e1", seq: 8, events: [{ seq: 8, at: 1, from: "bob", type: "post", body: { text: "missed" } }] });
    assert.equal((await missed).body.text, "missed");
  });
}

test("subscriptions that do not fit into `connect` follow it one by one", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const ids = Array.from({ length: 400 }, (_, k) => `room:${"x".repeat(120)}${k}`);
  for (const id of ids) client.entity(id).subscribe({ events: "replay", signals: "latest", presence: true });
  const peer = await server.accept();
  const request = await peer.expect("connect");
  const named = request.params.subscriptions;
  assert.ok(JSON.stringify(request).length < 65_536);
  assert.ok(named.length > 100);
  const result = (entity) => ({ entity, epoch: "e", seq: 0, snapshot: {} });
  peer.hello(request, { subscriptions: named.map(({ entity }) => ({ entity, result: result(entity) })) });
  for (const id of ids.slice(named.length)) {
    const one = await peer.expect("subscribe");
    assert.equal(one.params.entity, id);
    peer.reply(one, result(id));
  }
});

test("a whole list replaces what was known of presence, and a count alone says that they are too many", async (t) => {
  const { sub, peer } = await live(t, { options: { presence: true } });
  const seen = [];
  sub.on("presence", ({ members, count }) => seen.push([members?.map(({ user }) => user) ?? null, count]));
  const last = next(sub, "presence", ({ count }) => count === 3);
  peer.notify("presence", { entity: LOBBY, joined: [member("a", "Ann"), member("b", "Bob")], count: 2 });
  // Changes were left out while this client did not read.
  peer.notify("presence", { entity: LOBBY, members: [member("b", "Bob"), member("c", "Cid")], count: 2 });
  peer.notify("presence", { entity: LOBBY, count: 1_500 });
  peer.notify("presence", { entity: LOBBY, members: [member("d", "Dora")], count: 1 });
  peer.notify("presence", { entity: LOBBY, joined: [member("e", "Eve"), member("f", "Flo")], count: 3 });
  await last;
  assert.deepEqual(seen, [[["a", "b"], 2], [["b", "c"], 2], [null, 1_500], [["d"], 1], [["d", "e", "f"], 3]]);
});

test("presence items carry the whole list", async (t) => {
  const { sub, peer } = await live(t, { options: { presence: true } });
  const seen = [];
  sub.on("presence", ({ members, count, left }) => seen.push([members.map(({ user, meta }) => `${user}:${meta.name}`), count, left]));
  const last = next(sub, "presence", ({ left }) => left.length > 0);
  peer.notify("presence", { entity: LOBBY, joined: [member("a", "Ann"), member("b", "Bob")], count: 2 });
  peer.notify("presence", { entity: LOBBY, updated: [member("a", "Anna")], count: 2 });
  peer.notify("presence", { entity: LOBBY, left: ["b"], count: 1 });
  await last;
  assert.deepEqual(seen, [
    [["a:Ann", "b:Bob"], 2, []],
    [["a:Anna", "b:Bob"], 2, []],
    [["a:Anna"], 1, ["b"]],
  ]);
});

test("a consumer that fell behind reads on from the history: nothing missed, nothing twice", async (t) => {
  const { sub, peer } = await live(t, { options: { buffer: 3 } });
  const iterator = sub[Symbol.asyncIterator]();
  const take = async () => short((await iterator.next()).value);
  assert.equal(await take(), "snapshot 0");
  const sixth = next(sub, "event", ({ seq }) => seq === 6);
  for (let seq = 1; seq <= 6; seq += 1) peer.event(LOBBY, seq);
  await sixth;

  const first = take();
  const page = await peer.expect("history");
  assert.deepEqual(page.params, { entity: LOBBY, after: 0, limit: 200 });
  // The log has moved on by the time it is read, and the live event of that arrives afterwards.
  peer.reply(page, { epoch: "e1", events: [1, 2, 3, 4, 5, 6, 7].map((seq) => event(seq)), more: false });
  const got = [await first];
  while (got.at(-1) !== 7) got.push(await take());
  peer.event(LOBBY, 7);
  peer.event(LOBBY, 8);
  got.push(await take());
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a consumer that is still behind after a page of history reads the next", async (t) => {
  const { sub, peer } = await live(t, { options: { buffer: 1 } });
  const iterator = sub[Symbol.asyncIterator]();
  const take = async () => short((await iterator.next()).value);
  assert.equal(await take(), "snapshot 0");
  const third = next(sub, "event", ({ seq }) => seq === 3);
  for (let seq = 1; seq <= 3; seq += 1) peer.event(LOBBY, seq);
  await third;
  const first = take();
  const page = await peer.expect("history");
  // The fourth arrives while the page is being read, which does not have it.
  peer.together(() => {
    peer.reply(page, { epoch: "e1", events: [event(1), event(2), event(3)], more: false });
    peer.event(LOBBY, 4);
  });
  assert.deepEqual([await first, await take(), await take()], [1, 2, 3]);
  const fourth = take();
  const again = await peer.expect("history");
  assert.equal(again.params.after, 3);
  peer.reply(again, { epoch: "e1", events: [event(4)], more: false });
  assert.equal(await fourth, 4);
  const fifth = take();
  peer.event(LOBBY, 5);
  assert.equal(await fifth, 5);
});

test("a consumer that fell behind further than the history reaches gets the state", async (t) => {
  const { sub, peer } = await live(t, { options: { buffer: 2 } });
  const iterator = sub[Symbol.asyncIterator]();
  await iterator.next();
  const fifth = next(sub, "event", ({ seq }) => seq === 5);
  for (let seq = 1; seq <= 5; seq += 1) peer.event(LOBBY, seq);
  await fifth;
  const item = iterator.next();
  peer.reply(await peer.expect("history"), { epoch: "e1", events: [event(4), event(5)], more: false });
  peer.reply(await peer.expect("read"), { epoch: "e1", seq: 5, state: { upTo: 5 } });
  assert.deepEqual((await item).value, { kind: "reset", entity: LOBBY, epoch: "e1", seq: 5, snapshot: { upTo: 5 }, reason: "fell_behind" });
  peer.event(LOBBY, 6);
  assert.equal(short((await iterator.next()).value), 6);
});

test("leaving the loop unsubscribes", async (t) => {
  const { sub, peer } = await live(t);
  for await (const item of sub) {
    assert.equal(item.kind, "snapshot");
    break;
  }
  assert.equal(sub.state, "closed");
  assert.deepEqual((await peer.expect("unsubscribe")).params, { entity: LOBBY });
});

test("who entered enters again after a reconnect, with the latest meta; who left does not", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  let peer = await server.welcome();
  const [a, b] = ["room:a", "room:b"].map((id) => client.entity(id).presence);
  for (const enter of [() => a.enter({ name: "Ann" }), () => a.enter({ name: "Anna" }), () => b.enter({ name: "Ann" }), () => b.leave()]) {
    const answered = enter();
    peer.reply(await peer.expect("presence"), { count: 1 });
    await answered;
  }
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  peer = await server.welcome();
  assert.deepEqual((await peer.expect("presence")).params, { entity: "room:a", action: "enter", meta: { name: "Anna" } });
  client.entity("room:c").signal("mark", {});
  await peer.expect("signal");
});

test("a read waits for the connection and is made again when it is lost, until its time is over", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ answerTimeoutMs: 20_000 });
  const room = client.entity(LOBBY);
  const read = room.read();
  const history = room.history({ before: 9, limit: 5 });
  let peer = await server.welcome();
  await peer.expect("read");
  await peer.expect("history");
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  peer = await server.welcome();
  peer.reply(await peer.expect("read"), { epoch: "e", seq: 1, state: 1 });
  assert.deepEqual(await read, { epoch: "e", seq: 1, state: 1 });
  const request = await peer.expect("history");
  assert.deepEqual(request.params, { entity: LOBBY, before: 9, limit: 5 });
  clock.advance(20_000);
  await assert.rejects(history, { code: "timeout" });
});

test("reads beyond the server's limit of requests in flight wait for their turn", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome({ limits: { ...LIMITS, max_in_flight: 4 } });
  await inState(client, "connected");
  const room = client.entity(LOBBY);
  const reads = [room.read(), room.read(), room.read()];
  room.signal("mark", {});
  const inFlight = [await peer.expect("read"), await peer.expect("read")];
  await peer.expect("signal");
  peer.reply(inFlight[0], { epoch: "e", seq: 1, state: 1 });
  inFlight.push(await peer.expect("read"));
  for (const request of inFlight.slice(1)) peer.reply(request, { epoch: "e", seq: 1, state: 1 });
  await Promise.all(reads);
});

test("a signal without a connection is dropped, and says so", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const room = client.entity(LOBBY);
  assert.equal(room.signal("typing", {}), false);
  const peer = await server.welcome();
  await inState(client, "connected");
  assert.equal(room.signal("typing", { on: true }, { key: "k" }), true);
  assert.deepEqual((await peer.expect("signal")).params, { entity: LOBBY, type: "typing", body: { on: true }, key: "k" });
});
