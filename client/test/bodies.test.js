/** Ops that cannot be sent, and answers that do not say to what. */
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import test from "node:test";
import { jsonBody } from "../src/body.js";
import { browser } from "./support/pages.js";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const LOBBY = "room:lobby";
const nested = (levels) => (levels === 0 ? 1 : { in: nested(levels - 1) });
const bad = {
  "nested too deep": nested(63),
  "a list nested too deep": JSON.parse("[".repeat(63) + "]".repeat(63)),
  "nested so deep that it cannot be gone through": Array.from({ length: 200_000 }).reduce((inner) => [inner], 0),
  "not a number": { a: [NaN] },
  "beyond all numbers": Infinity,
  "half a surrogate pair": { text: "\ud83d" },
  "half a surrogate pair in a name": { "\udc00": 1 },
  "a bigint": 1n,
  "an accessor that throws": Object.defineProperty({}, "a", { enumerable: true, get: () => assert.fail() }),
};

test("bodies that the server would refuse are told apart from those that it takes", () => {
  for (const [why, body] of Object.entries(bad)) assert.equal(jsonBody(body).code, "invalid_argument", why);
  const good = [null, 0, -0.5, 1.7e308, "", "😀", [], {}, nested(62), { "😀": ["\u0000"] }, JSON.parse('{"__proto__": {"a": 1}}')];
  for (const body of good) assert.equal(JSON.stringify(jsonBody(body)), JSON.stringify(body));
  assert.equal(jsonBody(undefined), null);
});

for (const [why, body] of Object.entries(bad)) {
  test(`an op whose body is ${why} is refused at once, and those behind it go out`, async (t) => {
    const { server, connect } = await story(t);
    const client = connect();
    const room = client.entity(LOBBY);
    await assert.rejects(room.send("post", body), { code: "invalid_argument" });
    assert.equal(client.pending.length, 0);
    const good = room.send("post", {});
    const peer = await server.welcome();
    peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
    await good;
    assert.throws(() => room.signal("typing", body), { code: "invalid_argument" });
    await assert.rejects(room.presence.enter(body), { code: "invalid_argument" });
  });
}

test("a body over the server's limit is told, whether it was there before the limit was known or not", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const room = client.entity(LOBBY);
  const early = assert.rejects(room.send("post", "é".repeat(60)), { code: "too_large" });
  const peer = await server.welcome({ limits: { ...LIMITS, max_body_bytes: 100 } });
  await early;
  await assert.rejects(room.send("post", "é".repeat(60)), { code: "too_large" });
  const fits = room.send("post", "é".repeat(49));
  peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
  await fits;
});

test("what an earlier page left and cannot be sent is told, and taken out of the database", async (t) => {
  const { server, page, left, rows, errors } = await browser(t);
  const bodies = [nested(70), "\ud800", NaN, "fine"];
  await left({ client: "01OLD", ops: bodies.map((body) => ({ entity: LOBBY, type: "post", body })) });
  const client = page();
  const peer = await server.welcome();
  const request = await peer.expect("send");
  assert.equal(request.params.body, "fine");
  peer.reply(request, { seq: 1, epoch: "e", at: 1 });
  await next(client, "pending", (count) => count === 0);
  assert.deepEqual(errors.map(({ code, op }) => [code, op.entity]), Array(3).fill(["invalid_argument", LOBBY]));
  await client.close();
  assert.deepEqual(await rows("ops"), []);
});

test("an answer without id is that of the only request in flight", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  const room = client.entity(LOBBY);
  const [poison, good] = [room.send("post", 1), room.send("post", 2)];
  await peer.expect("send");
  const told = assert.rejects(poison, { code: "parse_error" });
  peer.fail({ id: null }, "parse_error");
  await told;
  peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
  await good;
  assert.equal(client.state, "connected");
});

test("among several in flight it is that of the one without an answer of its own", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const ops = ["a", "b", "c", "d"].map((id) => client.entity(`room:${id}`).send("post", id));
  const requests = [];
  for (let k = 0; k < 4; k += 1) requests.push(await peer.expect("send"));
  const poisoned = [1, 3].map((k) => assert.rejects(ops[k], { code: "parse_error" }));
  peer.fail({ id: null }, "parse_error");
  peer.reply(requests[2], { seq: 3, epoch: "e", at: 1 });
  peer.fail({ id: null }, "parse_error");
  peer.reply(requests[0], { seq: 1, epoch: "e", at: 1 });
  await Promise.all(poisoned);
  assert.deepEqual([(await ops[0]).seq, (await ops[2]).seq], [1, 3]);
});

test("200 subscriptions reach a server that takes messages of 12 KiB", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const limit = 12 * 1024;
  const ids = Array.from({ length: 200 }, (_, k) => `room:${"x".repeat(60)}${k}`);
  const subs = ids.map((id) => client.entity(id).subscribe({ presence: true }));
  const entered = ids.map((id) => client.entity(id).presence.enter({ name: "Ännchen" }));
  const first = await server.accept();
  const request = await first.expect("connect");
  assert.ok(JSON.stringify(request).length > limit);
  first.close(1009);
  await inState(client, "waiting");
  clock.advance(0);
  const snapshot = (entity) => ({ entity, epoch: "e", seq: 0, snapshot: {}, presence: { count: 0, members: [] } });
  const result = { limits: { ...LIMITS, max_message_bytes: limit } };
  const second = await server.welcome(result);
  assert.equal(second.connectParams.subscriptions, undefined);
  for (const id of ids) {
    const one = await second.expect("subscribe");
    assert.equal(one.params.entity, id);
    second.reply(one, snapshot(id));
  }
  for (const id of ids) {
    const one = await second.expect("presence");
    assert.equal(one.params.entity, id);
    second.reply(one, { count: 1 });
  }
  await Promise.all([...entered, ...subs.map(({ ready }) => ready)]);
  // From now on the limit is known.
  second.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const third = await server.accept();
  const again = await third.expect("connect");
  assert.ok(again.params.subscriptions.length > 50);
  assert.ok(Buffer.byteLength(JSON.stringify(again)) <= limit);
});

test("a `connect` that is too long with nothing in it ends the client, with the reason", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ token: "x".repeat(20_000) });
  for (const state of ["waiting", "closed"]) {
    const peer = await server.accept();
    await peer.expect("connect");
    peer.close(1009);
    await inState(client, state);
    clock.advance(0);
  }
  assert.equal(client.error.code, "too_large");
});
