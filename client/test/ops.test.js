import assert from "node:assert/strict";
import test from "node:test";
import { LIMITS } from "./support/server.js";
import { inState, story } from "./support/story.js";

const done = (seq, more = {}) => ({ seq, epoch: "e", at: 1, ...more });

test("an op that lost its answer is repeated under the same number, before those behind it", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const room = client.entity("room:lobby");
  const sent = ["a", "b"].map((text) => room.send("post", { text }));
  let peer = await server.welcome();
  const first = await peer.expect("send");
  assert.deepEqual(first.params, { entity: "room:lobby", type: "post", body: { text: "a" }, n: 1 });
  assert.deepEqual(client.pending.map(({ n, inFlight }) => [n, inFlight]), [[1, true], [null, false]]);
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);

  peer = await server.welcome();
  const repeat = await peer.expect("send");
  assert.deepEqual(repeat.params, first.params);
  peer.reply(repeat, done(7, { duplicate: true }));
  assert.deepEqual(await sent[0], done(7, { duplicate: true }));
  const second = await peer.expect("send");
  assert.deepEqual([second.params.n, second.params.body], [2, { text: "b" }]);
  peer.reply(second, done(8));
  await sent[1];
  assert.deepEqual(client.pending, []);
});

test("an op says when it was first sent, by the server's clock, and says the same again", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  client.entity("room:lobby").send("post", {}).catch(() => {});
  const seen = [];
  for (const ahead of [5_000, 90_000]) {
    const peer = await server.welcome({ now: clock.now() + ahead });
    seen.push((await peer.expect("send")).params.first_sent);
    peer.cut();
    await inState(client, "waiting");
    clock.advance(0);
  }
  assert.deepEqual(seen, [clock.now() + 5_000, clock.now() + 5_000]);
});

test("with a pipeline, all that was in flight is repeated in order", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ pipeline: 3 });
  const room = client.entity("room:lobby");
  for (const text of ["a", "b", "c", "d"]) room.send("post", { text }).catch(() => {});
  for (let round = 0; round < 2; round += 1) {
    const peer = await server.welcome();
    const seen = [];
    for (let k = 0; k < 3; k += 1) seen.push((await peer.expect("send")).params);
    assert.deepEqual(seen.map(({ n, body }) => [n, body.text]), [[1, "a"], [2, "b"], [3, "c"]]);
    peer.cut();
    await inState(client, "waiting");
    clock.advance(0);
  }
});

test("refused for a while, an op keeps its number and its place; other entities go on", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const [a, b] = ["room:a", "room:b"].map((id) => client.entity(id));
  const sent = [a.send("post", 1), a.send("post", 2), b.send("post", 3)];
  const first = await peer.expect("send");
  const other = await peer.expect("send");
  peer.fail(first, "rate_limited", { retry_after_ms: 2_000 });
  peer.reply(other, done(1));
  await sent[2];
  clock.advance(1_999);
  const probe = b.send("post", 4);
  const next = await peer.expect("send");
  assert.equal(next.params.body, 4);
  peer.reply(next, done(2));
  await probe;
  clock.advance(1);
  const again = await peer.expect("send");
  assert.deepEqual(again.params, first.params);
  peer.reply(again, done(1));
  const last = await peer.expect("send");
  assert.equal(last.params.body, 2);
  peer.reply(last, done(2));
  await Promise.all(sent);
});

test("in the end a refusal is told, and the next op has its turn", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ maxRetries: 2 });
  const peer = await server.welcome();
  await inState(client, "connected");
  const room = client.entity("room:lobby");
  const first = room.send("post", 1);
  const second = room.send("post", 2);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const request = await peer.expect("send");
    assert.equal(request.params.n, 1);
    const outcome = attempt < 2 ? new Promise((resolve) => client.once("message", resolve)) : assert.rejects(first, { code: "unavailable" });
    peer.fail(request, "unavailable", { retry_after_ms: 10 });
    await outcome;
    clock.advance(10);
  }
  const request = await peer.expect("send");
  assert.equal(request.params.body, 2);
  peer.reply(request, done(1));
  await second;
});

test("a definite refusal is told with what the server said", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  const doc = client.entity("doc:plan");
  const conflict = doc.send("merge", {}, { ifSeq: 4 });
  const request = await peer.expect("send");
  assert.equal(request.params.if_seq, 4);
  peer.fail(request, "conflict", { seq: 9 });
  await assert.rejects(conflict, { name: "GreenroomError", code: "conflict", seq: 9 });
  for (const [code, data] of [["rejected", { reason: "not_author" }], ["op_expired", {}], ["internal", {}]]) {
    const op = doc.send("merge", {});
    peer.fail(await peer.expect("send"), code, data);
    await assert.rejects(op, { code, reason: data.reason });
  }
});

test("the queue is bounded", async (t) => {
  const { server, connect } = await story(t);
  const client = connect({ maxPending: 2 });
  const room = client.entity("room:lobby");
  const kept = [room.send("post", 1), room.send("post", 2)];
  await assert.rejects(room.send("post", 3), { code: "queue_full" });
  assert.equal(client.pending.length, 2);
  const peer = await server.welcome();
  for (const [index, op] of kept.entries()) {
    peer.reply(await peer.expect("send"), done(index + 1));
    await op;
  }
  const late = room.send("post", 4);
  peer.reply(await peer.expect("send"), done(3));
  assert.equal((await late).seq, 3);
});

test("the server's limit of requests in flight is kept, with room for reads", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome({ limits: { ...LIMITS, max_in_flight: 10 } });
  await inState(client, "connected");
  const ops = Array.from({ length: 12 }, (_, k) => client.entity(`room:r${k}`).send("post", k));
  const read = client.entity("room:r0").read();
  const inFlight = [];
  for (let k = 0; k < 6; k += 1) inFlight.push(await peer.expect("send"));
  peer.reply(await peer.expect("read"), { epoch: "e", seq: 0, state: {} });
  await read;
  for (let answered = 0; answered < 12; answered += 1) {
    peer.reply(inFlight.shift(), done(1));
    if (answered < 6) inFlight.push(await peer.expect("send"));
  }
  await Promise.all(ops);
});

test("under another identity nothing in doubt is repeated, and what was never sent goes out", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const room = client.entity("room:lobby");
  const doubtful = room.send("post", "sent");
  const unsent = room.send("post", "unsent");
  let peer = await server.welcome({ user: "anon-1" });
  await peer.expect("send");
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const outcome = assert.rejects(doubtful, { code: "outcome_unknown" });
  peer = await server.welcome({ user: "anon-2" });
  const request = await peer.expect("send");
  assert.equal(request.params.body, "unsent");
  peer.reply(request, done(1));
  await outcome;
  await unsent;
});

test("a message that the server would hang up on is not sent", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome({ limits: { ...LIMITS, max_message_bytes: 500 } });
  await inState(client, "connected");
  const room = client.entity("room:lobby");
  const large = room.send("post", "€".repeat(200));
  const fine = room.send("post", "€".repeat(100));
  await assert.rejects(large, { code: "too_large" });
  peer.reply(await peer.expect("send"), done(1));
  await fine;
});

test("a body that is no JSON is refused, and one that changes later is sent as it was", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const room = client.entity("room:lobby");
  const loop = {};
  loop.self = loop;
  await assert.rejects(room.send("post", loop), { code: "invalid_argument" });
  const body = { text: "before" };
  room.send("post", body).catch(() => {});
  body.text = "after";
  const peer = await server.welcome();
  assert.deepEqual((await peer.expect("send")).params.body, { text: "before" });
});

test("an op that is never answered costs the connection, not the op", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ answerTimeoutMs: 20_000 });
  let peer = await server.welcome();
  await inState(client, "connected");
  const op = client.entity("room:lobby").send("post", 1);
  await peer.expect("send");
  clock.advance(20_000);
  assert.equal(client.state, "connecting");
  peer = await server.welcome();
  const repeat = await peer.expect("send");
  assert.equal(repeat.params.n, 1);
  peer.reply(repeat, done(1));
  await op;
});

test("once the server said goodbye new ops wait for the next connection", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  let peer = await server.welcome();
  await inState(client, "connected");
  const heard = new Promise((resolve) => client.once("message", resolve));
  peer.notify("goodbye", { reason: "shutting_down", closes_in_ms: 1_000, reconnect_after_ms: 0 });
  await heard;
  const op = client.entity("room:lobby").send("post", 1);
  client.entity("room:lobby").signal("typing", {});
  await peer.expect("signal");
  peer.close(1001);
  await inState(client, "waiting");
  clock.advance(0);
  peer = await server.welcome();
  peer.reply(await peer.expect("send"), done(1));
  await op;
});
