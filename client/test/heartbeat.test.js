/** Connections that die without saying so. */
import assert from "node:assert/strict";
import test from "node:test";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const INTERVAL = LIMITS.ping_interval_ms;

/** Connected, with the first ping answered; from now on the server does not answer pings. */
async function silent(t) {
  const all = await story(t, { random: 0.5 });
  const client = all.connect();
  const peer = await all.server.welcome();
  await inState(client, "connected");
  const measured = next(client, "rtt");
  all.clock.advance(1_000);
  await measured;
  peer.answersPings = false;
  const event = async () => {
    const heard = next(client, "message", ({ direction }) => direction === "in");
    peer.event("room:x", 1);
    await heard;
  };
  return { ...all, client, peer, event };
}

test("a connection of which only one direction is cut is given up after two pings without an answer", async (t) => {
  const { clock, client, event } = await silent(t);
  clock.advance(INTERVAL);
  for (let k = 0; k < 4; k += 1) {
    await event();
    clock.advance(INTERVAL / 4);
  }
  assert.equal(client.state, "connected");
  for (let k = 0; k < 3; k += 1) {
    await event();
    clock.advance(INTERVAL / 4);
  }
  assert.equal(client.state, "connected");
  clock.advance(INTERVAL / 4);
  assert.equal(client.state, "waiting");
  assert.equal(client.error.code, "disconnected");
});

test("an event after the unanswered ping does not keep a dead connection", async (t) => {
  const { clock, client, event } = await silent(t);
  clock.advance(INTERVAL);
  await event();
  clock.advance(INTERVAL);
  assert.equal(client.state, "connected");
  clock.advance(INTERVAL);
  assert.equal(client.state, "waiting");
});

test("`reconnect` finds a dead connection out within seconds, even with a ping under way, however often it is called", async (t) => {
  const { clock, client, event } = await silent(t);
  clock.advance(INTERVAL);
  await event();
  for (let k = 0; k < 5; k += 1) {
    client.reconnect();
    clock.advance(1_000);
  }
  assert.equal(client.state, "waiting");
});

test("a connection that lives is kept by `reconnect`", async (t) => {
  const { clock, client, peer } = await silent(t);
  peer.answersPings = true;
  for (let k = 0; k < 5; k += 1) {
    const measured = next(client, "rtt");
    client.reconnect();
    await measured;
    clock.advance(5_000);
  }
  assert.equal(client.state, "connected");
});

test("a page reacts at once when the network goes, and when it is back", async (t) => {
  const listeners = new Map();
  globalThis.window = { addEventListener: (name, run) => listeners.set(name, run), removeEventListener: (name) => listeners.delete(name) };
  globalThis.document = { ...globalThis.window, visibilityState: "visible" };
  t.after(() => {
    delete globalThis.window;
    delete globalThis.document;
  });
  const { server, clock, client, peer } = await silent(t);
  listeners.get("offline")();
  assert.equal(client.state, "waiting");
  assert.equal(client.error.message, "the network is offline");
  assert.equal(await peer.closed(), 4900);
  listeners.get("online")();
  const again = await server.welcome();
  await inState(client, "connected");
  again.answersPings = false;
  listeners.get("online")();
  clock.advance(5_000);
  assert.equal(client.state, "waiting");
  listeners.get("visibilitychange")();
  await server.welcome();
  await inState(client, "connected");
  client.close();
  assert.deepEqual([...listeners.keys()], []);
});
