import assert from "node:assert/strict";
import test from "node:test";
import { GreenroomError } from "../greenroom.js";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

test("connect offers the JSON subprotocol and shows its token, and the client knows who it is", async (t) => {
  const { server, connect } = await story(t);
  const client = connect({ token: "abc" });
  assert.equal(client.state, "connecting");
  assert.equal(client.user, null);
  const peer = await server.welcome({ user: "ann" });
  await client.connected();
  assert.equal(peer.protocol, "greenroom.v1.json");
  assert.equal(peer.connectParams.token, "abc");
  assert.equal(client.user, "ann");
});

test("after a loss it waits with full jitter, each time longer, and presents the client id it was given", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect({ backoff: { baseMs: 1_000, capMs: 60_000 } });
  for (const wait of [500, 1_000, 2_000]) {
    const peer = await server.welcome();
    await inState(client, "connected");
    peer.cut();
    await inState(client, "waiting");
    assert.equal(client.nextAttemptAt - clock.now(), wait);
    clock.advance(wait);
  }
  const peer = await server.welcome();
  assert.equal(peer.connectParams.client, "01CLIENT");
});

test("a connection that was good for a while starts the backoff anew", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect({ backoff: { baseMs: 1_000, capMs: 60_000 } });
  for (let round = 0; round < 3; round += 1) {
    const peer = await server.welcome();
    await inState(client, "connected");
    clock.advance(10_000);
    peer.cut();
    await inState(client, "waiting");
    assert.equal(client.nextAttemptAt - clock.now(), 500);
    clock.advance(500);
  }
});

test("goodbye tells when to come back", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  peer.notify("goodbye", { reason: "shutting_down", closes_in_ms: 500, reconnect_after_ms: 7_000 });
  peer.close(1001, "shutting_down");
  const change = await next(client, "state");
  assert.equal(change.error.code, "shutting_down");
  assert.equal(change.nextAttemptAt - clock.now(), 7_000);
});

test("a server that said goodbye and does not close is left all the same", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect();
  const peer = await server.welcome();
  const entity = client.entity("room:lobby");
  const sub = entity.subscribe();
  peer.reply(await peer.expect("subscribe"), { entity: "room:lobby", epoch: "e", seq: 0, snapshot: {} });
  await sub.ready;
  peer.together(() => {
    peer.notify("goodbye", { reason: "shutting_down", closes_in_ms: 500, reconnect_after_ms: 0 });
    peer.event("room:lobby", 1);
  });
  await next(sub, "event");
  clock.advance(1_500);
  assert.equal(client.state, "waiting");
});

test("a refused connect waits as long as it is told", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.accept();
  peer.fail(await peer.expect("connect"), "overloaded", { retry_after_ms: 4_321 });
  await inState(client, "waiting");
  assert.equal(client.nextAttemptAt - clock.now(), 4_321);
});

test("closed for asking too much, it stays away for a while", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  peer.close(4008, "rate_limited");
  await inState(client, "waiting");
  assert.equal(client.nextAttemptAt - clock.now(), 5_000);
});

test("an expired token is asked for again", async (t) => {
  const { server, clock, connect } = await story(t);
  const tokens = ["old", "new"];
  const client = connect({ token: async () => tokens.shift() });
  const peer = await server.welcome();
  assert.equal(peer.connectParams.token, "old");
  await inState(client, "connected");
  peer.close(4002, "token_expired");
  await inState(client, "waiting");
  clock.advance(0);
  assert.equal((await server.welcome()).connectParams.token, "new");
});

test("an expired token that cannot be asked for ends the client, with the reason", async (t) => {
  const { server, connect } = await story(t);
  const client = connect({ token: "fixed" });
  const peer = await server.welcome();
  await inState(client, "connected");
  const op = client.entity("room:lobby").send("post", {});
  await peer.expect("send");
  peer.close(4002, "token_expired");
  await assert.rejects(op, { code: "token_expired" });
  assert.equal(client.state, "closed");
  assert.equal(client.error.code, "token_expired");
});

test("two refusals in a row are final, even with a token function", async (t) => {
  const { server, clock, connect } = await story(t);
  let asked = 0;
  const client = connect({ token: () => `t${(asked += 1)}` });
  const closed = assert.rejects(client.connected(), { code: "unauthorized" });
  for (const state of ["waiting", "closed"]) {
    const peer = await server.accept();
    peer.fail(await peer.expect("connect"), "unauthorized");
    await inState(client, state);
    clock.advance(0);
  }
  await closed;
  assert.equal(asked, 2);
});

test("a token function that fails is asked again later; one that says `unauthorized` ends the client", async (t) => {
  const { clock, connect } = await story(t, { random: 0.5 });
  const failures = [new Error("no network"), new GreenroomError("unauthorized", "signed out")];
  const client = connect({ token: () => Promise.reject(failures.shift()) });
  const change = await next(client, "state");
  assert.equal(change.state, "waiting");
  assert.equal(change.error.cause.message, "no network");
  clock.advance(250);
  await inState(client, "closed");
  assert.equal(client.error.message, "signed out");
});

test("a token about to expire is replaced on the live connection", async (t) => {
  const { server, connect } = await story(t);
  const tokens = ["old", "new"];
  const client = connect({ token: () => tokens.shift() });
  const peer = await server.welcome({ expires_at: 5 });
  peer.notify("goodbye", { reason: "token_expiring", closes_in_ms: 30_000 });
  const request = await peer.expect("connect");
  assert.deepEqual(request.params, { token: "new" });
  peer.hello(request, { client: "01CLIENT", expires_at: 99 });
  await client.entity("room:lobby").signal("typing", {});
  await peer.expect("signal");
  peer.cut();
  await inState(client, "waiting");
  assert.equal(client.hello.expires_at, 99);
});

test("a server that does not answer `connect` is given up", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect({ connectTimeoutMs: 8_000 });
  const peer = await server.accept();
  await peer.expect("connect");
  clock.advance(8_000);
  assert.equal(client.state, "waiting");
  assert.equal(client.error.code, "timeout");
  await peer.closed();
});

test("a connection on which nothing is heard for two ping intervals is dead", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect();
  const peer = await server.accept();
  const request = await peer.expect("connect");
  const first = next(client, "rtt");
  peer.hello(request);
  await inState(client, "connected");
  clock.advance(1_000);
  await first;
  peer.answersPings = false;
  clock.advance(LIMITS.ping_interval_ms);
  assert.equal(client.state, "connected");
  clock.advance(LIMITS.ping_interval_ms);
  assert.equal(client.state, "waiting");
  assert.equal(client.error.code, "disconnected");
});

test("a slow answer to `ping` is no death as long as other things are heard, and the round trip is measured", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.accept();
  peer.answersPings = false;
  peer.hello(await peer.expect("connect"));
  await inState(client, "connected");
  clock.advance(1_000);
  const heard = next(client, "message", ({ direction }) => direction === "in");
  clock.advance(LIMITS.ping_interval_ms - 1);
  peer.notify("presence", { entity: "room:other", count: 0 });
  await heard;
  clock.advance(1);
  assert.equal(client.state, "connected");
  const measured = next(client, "rtt");
  peer.reply({ id: 2 }, { now: 1 });
  assert.equal(await measured, LIMITS.ping_interval_ms);
  assert.equal(client.rtt, LIMITS.ping_interval_ms);
});

test("`reconnect` does not wait for the time", async (t) => {
  const { server, connect } = await story(t, { random: 0.9 });
  const client = connect();
  (await server.welcome()).cut();
  await inState(client, "waiting");
  client.reconnect();
  await server.welcome();
  await client.connected();
});

test("raw messages are shown without the token", async (t) => {
  const { server, connect } = await story(t);
  const client = connect({ token: "secret" });
  const sent = next(client, "message", ({ direction }) => direction === "out");
  assert.equal((await server.welcome()).connectParams.token, "secret");
  const { data } = await sent;
  assert.match(data, /"method":"connect"/);
  assert.doesNotMatch(data, /secret/);
});

test("`close` ends everything that waits, and stays closed", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const room = client.entity("room:lobby");
  const waiting = [room.send("post", {}), room.read(), room.presence.list()];
  const iterator = room.subscribe()[Symbol.asyncIterator]();
  client.close();
  for (const each of waiting) await assert.rejects(each, { code: "closed" });
  assert.equal((await iterator.next()).done, true);
  await assert.rejects(room.send("post", {}), { code: "closed" });
  clock.advance(600_000);
  assert.equal(client.state, "closed");
  await peer.closed();
});

test("a bad entity id is refused at once", async (t) => {
  const { connect } = await story(t);
  const client = connect();
  for (const id of ["lobby", "Room:lobby", "room:", "room:a b", `room:${"x".repeat(129)}`]) {
    assert.throws(() => client.entity(id), { code: "invalid_argument" });
  }
  assert.equal(client.entity(`room:${"x".repeat(128)}`).id.length, 133);
});
