/** One connection in another's place. */
import assert from "node:assert/strict";
import test from "node:test";
import { inState, next, story } from "./support/story.js";

const op = (peer) => peer.expect("presence").then((request) => (peer.reply(request, { count: 1 }), request.params));

/** Ann has entered room:a and room:b, and the wire is cut. */
async function lost(t, options = {}) {
  const all = await story(t);
  const client = all.connect(options);
  const peer = await all.server.welcome({ session: "first" });
  const [a, b] = ["room:a", "room:b"].map((id) => client.entity(id).presence);
  for (const place of [a, b]) {
    const entered = place.enter({ name: "Ann" });
    await op(peer);
    await entered;
  }
  peer.cut();
  await inState(client, "waiting");
  /** The next connection, once it has been through everything that was to be said before `signal`. */
  const back = async (result) => {
    all.clock.advance(0);
    const peer = await all.server.welcome(result);
    return peer;
  };
  const nothingMore = async (peer) => {
    client.entity("room:a").signal("end", {});
    await peer.expect("signal");
  };
  return { ...all, client, peer, a, b, back, nothingMore };
}

test("a reconnect names the session that was lost, and the latest one at that", async (t) => {
  const { client, peer, clock, back } = await lost(t);
  assert.equal(peer.connectParams.session, undefined);
  const second = await back({ session: "second", resumed: true });
  assert.equal(second.connectParams.session, "first");
  await inState(client, "connected");
  second.cut();
  await inState(client, "waiting");
  clock.advance(1_000);
  assert.equal((await back({ session: "third" })).connectParams.session, "second");
});

test("where the session was resumed nobody enters again", async (t) => {
  const { client, back, nothingMore } = await lost(t);
  const peer = await back({ resumed: true });
  await inState(client, "connected");
  await nothingMore(peer);
});

test("where it was not, everybody does", async (t) => {
  const { back, nothingMore } = await lost(t);
  const peer = await back({});
  assert.deepEqual([await op(peer), await op(peer)], [
    { entity: "room:a", action: "enter", meta: { name: "Ann" } },
    { entity: "room:b", action: "enter", meta: { name: "Ann" } },
  ]);
  await nothingMore(peer);
});

test("what changed meanwhile is told to a resumed session, once", async (t) => {
  const { client, a, b, back, nothingMore } = await lost(t);
  const done = [a.enter({ name: "Anna" }), b.leave(), client.entity("room:c").presence.enter()];
  const peer = await back({ resumed: true });
  const said = [await op(peer), await op(peer), await op(peer)];
  assert.deepEqual(said, [
    { entity: "room:a", action: "enter", meta: { name: "Anna" } },
    { entity: "room:b", action: "leave" },
    { entity: "room:c", action: "enter" },
  ]);
  await Promise.all(done);
  await nothingMore(peer);
});

test("a leave that was given up for lack of a connection is made good when the session is resumed", async (t) => {
  const { clock, b, back, nothingMore } = await lost(t, { answerTimeoutMs: 5_000, backoff: { baseMs: 0 } });
  const left = assert.rejects(b.leave(), { code: "timeout" });
  clock.advance(5_000);
  await left;
  const peer = await back({ resumed: true });
  assert.deepEqual(await op(peer), { entity: "room:b", action: "leave" });
  await nothingMore(peer);
});

test("entering again is put off as long as the server wants, and what the app wants by then counts", async (t) => {
  const { client, clock, a, b, back, nothingMore } = await lost(t);
  const peer = await back({});
  const first = await peer.expect("presence");
  const told = next(client, "message", ({ data }) => data.includes("overloaded"));
  peer.fail(first, "overloaded", { retry_after_ms: 1_000 });
  await op(peer);
  await told;
  const left = a.leave();
  assert.deepEqual(await op(peer), { entity: "room:a", action: "leave" });
  await left;
  clock.advance(1_000);
  // The call that was put off comes late, and is taken back.
  assert.deepEqual(await op(peer), { entity: "room:a", action: "enter", meta: { name: "Ann" } });
  assert.deepEqual(await op(peer), { entity: "room:a", action: "leave" });
  const again = b.leave();
  await op(peer);
  await again;
  await nothingMore(peer);
});

test("a session that another connection took over is not taken back", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const client = connect();
  const peer = await server.welcome({ session: "shared" });
  await inState(client, "connected");
  peer.close(4011, "replaced");
  await inState(client, "waiting");
  assert.equal(client.error.code, "replaced");
  assert.equal(client.nextAttemptAt - clock.now(), 250);
  clock.advance(250);
  const second = await server.welcome({ session: "own" });
  assert.equal(second.connectParams.session, undefined);
  assert.equal(second.connectParams.client, "01CLIENT");
});

test("a connection that is given up says so, that the session be kept; `close` ends the session", async (t) => {
  const { server, clock, connect } = await story(t);
  const client = connect({ answerTimeoutMs: 20_000 });
  const first = await server.welcome();
  await inState(client, "connected");
  client.entity("room:a").send("post", 1).catch(() => {});
  await first.expect("send");
  clock.advance(20_000);
  assert.equal(await first.closed(), 4900);
  const second = await server.welcome();
  await inState(client, "connected");
  client.close();
  assert.equal(await second.closed(), 1000);
});
