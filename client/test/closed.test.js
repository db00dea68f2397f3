/** What is left behind when a client is closed: nothing. */
import assert from "node:assert/strict";
import test from "node:test";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const rates = { requests: { per_second: 5, burst: 4 } };

/** Everything that an app may start and not wait for. */
function startAll(client) {
  const room = client.entity("room:lobby");
  room.send("post", {});
  room.read();
  room.history();
  room.presence.enter({ name: "Ann" });
  room.presence.list();
  room.presence.leave();
  client.entity("room:b").presence.enter();
  room.subscribe();
  room.subscribe({ presence: true });
  client.connected();
  for (let k = 0; k < 9; k += 1) room.signal("cursor", {}, { key: `${k}` });
}

/** Fails the test if a promise that nobody waits for is rejected while `run` is under way. */
async function quietly(run) {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  await run();
  // Node tells of them once the microtasks are done.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
}

const moments = {
  "before it has connected": async ({ client }) => startAll(client),
  "while it connects": async ({ server, client }) => {
    startAll(client);
    await (await server.accept()).expect("connect");
  },
  "while the token is fetched": async ({ client }) => startAll(client),
  "while connected": async ({ server, client }) => {
    await server.welcome({ limits: { ...LIMITS, rates } });
    await inState(client, "connected");
    startAll(client);
    client.refresh();
  },
  "while paused": async ({ server, client }) => {
    const peer = await server.welcome();
    await inState(client, "connected");
    startAll(client);
    const told = next(client, "message", ({ data }) => data.includes("rate_limited"));
    peer.fail(await peer.expect("send"), "rate_limited", { reason: "requests", retry_after_ms: 5_000 });
    await told;
  },
  "while it waits for the next attempt": async ({ server, client }) => {
    startAll(client);
    (await server.welcome()).cut();
    await inState(client, "waiting");
  },
};

for (const [moment, reach] of Object.entries(moments)) {
  test(`closed ${moment}, a client sets no more timers, opens no more connections, and nothing is unhandled`, async (t) => {
    const { server, clock, connect } = await story(t);
    const never = moment.includes("token");
    const client = connect({ token: () => (never ? new Promise(() => {}) : "token") });
    await quietly(async () => {
      await reach({ server, client });
      client.close();
      startAll(client);
      await client.close();
    });
    assert.equal(client.state, "closed");
    assert.equal(clock.timers, 0);
    clock.advance(600_000);
    assert.equal(clock.timers, 0);
  });
}

test("handles of entities and closed subscriptions are not held by the client", async (t) => {
  const { server, connect } = await story(t);
  const client = connect();
  const peer = await server.welcome();
  await inState(client, "connected");
  const references = [];
  const use = async (k) => {
    const entity = client.entity(`room:r${k}`);
    const sub = entity.subscribe();
    references.push(new WeakRef(entity), new WeakRef(sub));
    peer.reply(await peer.expect("subscribe"), { entity: entity.id, epoch: "e", seq: 0, snapshot: {} });
    await sub.ready;
    sub.close();
    peer.reply(await peer.expect("unsubscribe"), {});
  };
  for (let k = 0; k < 20; k += 1) await use(k);
  client.ping();
  await next(client, "rtt");
  if (!globalThis.gc) return t.skip("needs --expose-gc");
  await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc();
  assert.ok(references.filter((reference) => reference.deref()).length <= 2);
});
