import assert from "node:assert/strict";
import test from "node:test";
import { put, take } from "../src/persist.js";
import { Ops } from "../src/ops.js";
import { FakeClock } from "./support/clock.js";
import { inState, story } from "./support/story.js";

class MemoryStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, value);
  removeItem = (key) => void this.items.delete(key);
}

const saved = { client: "01OLD", user: "ann", nextN: 5, ops: [{ n: 4, entity: "room:lobby", type: "post", body: { text: "left" } }] };

test("a record can be taken once, so that a duplicated tab does not share it", () => {
  const storage = new MemoryStorage();
  put(storage, saved);
  assert.deepEqual(take(storage), saved);
  assert.equal(take(storage), null);
});

test("storage that is full, forbidden or holds something else does no harm", () => {
  const refuse = () => {
    throw new Error("no storage here");
  };
  put({ getItem: refuse, setItem: refuse, removeItem: refuse }, saved);
  assert.equal(take({ getItem: refuse, setItem: refuse, removeItem: refuse }), null);
  for (const text of ["{", "7", '{"client":3}']) assert.equal(take({ getItem: () => text, removeItem: () => {} }), null);
});

test("after a reload the client id, the numbers and the unanswered ops go on", async (t) => {
  const { server, connect } = await story(t);
  const storage = new MemoryStorage();
  put(storage, saved);
  const client = connect({ storage });
  const peer = await server.welcome({ user: "ann" });
  assert.equal(peer.connectParams.client, "01OLD");
  const left = await peer.expect("send");
  assert.deepEqual([left.params.n, left.params.body], [4, { text: "left" }]);
  peer.reply(left, { seq: 1, epoch: "e", at: 1, duplicate: true });
  await inState(client, "connected");
  const op = client.entity("room:lobby").send("post", {});
  const request = await peer.expect("send");
  assert.equal(request.params.n, 5);
  peer.reply(request, { seq: 2, epoch: "e", at: 1 });
  await op;
});

test("an op left by another user is given up, and that is told", async (t) => {
  const { server, connect } = await story(t);
  const storage = new MemoryStorage();
  put(storage, saved);
  const client = connect({ storage });
  const told = new Promise((resolve) => client.once("error", resolve));
  await server.welcome({ user: "bob" });
  assert.equal((await told).code, "outcome_unknown");
  assert.deepEqual(client.pending, []);
});

test("what is saved is what is restored", () => {
  const ops = new Ops({ maxPending: 10, pipeline: 1, maxRetries: 0 }, new FakeClock(), () => {});
  assert.equal(ops.save(), null);
  ops.restore(saved, () => {});
  assert.deepEqual(JSON.parse(JSON.stringify(ops.save())), saved);
});
