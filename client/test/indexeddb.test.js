/** Ops that outlive their page. The database is a real one in memory; what a browser adds is tested in tests/browser. */
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import test from "node:test";
import { IDBObjectStore } from "fake-indexeddb";
import { indexedDbStorage } from "../greenroom.js";
import { Ops } from "../src/ops.js";
import { FakeClock } from "./support/clock.js";
import { MemoryStorage, browser } from "./support/pages.js";
import { inState, next } from "./support/story.js";

const done = (seq, more = {}) => ({ seq, epoch: "e", at: 1, ...more });
const post = (text) => ({ entity: "room:lobby", type: "post", body: { text }, ifSeq: undefined });
/** Half a minute in which the connection lives: its pings, after a second and then each 25 s, are answered. */
async function halfAMinute(client, clock) {
  for (let k = 0; k < 2; k += 1) {
    const answered = next(client, "rtt");
    clock.advance(15_000);
    await answered;
  }
}

const isEmpty = (client) => (client.pending.length === 0 ? Promise.resolve() : next(client, "pending", (count) => count === 0));

test("where there is no IndexedDB the option says so", () => {
  const { indexedDB } = globalThis;
  delete globalThis.indexedDB;
  try {
    assert.throws(() => indexedDbStorage(), { code: "invalid_argument", message: /no IndexedDB here/ });
  } finally {
    globalThis.indexedDB = indexedDB;
  }
});

test("an op is sent once it is kept and the identity with it, and not before", () => {
  const ops = new Ops({ maxPending: 10, pipeline: 1, maxRetries: 0 }, new FakeClock(), () => {});
  const [sent, puts, identities] = [[], [], []];
  const keep = {
    left: [],
    number: () => 40 + puts.length,
    put: (op, kept) => puts.push(kept),
    identify: (identity, written) => identities.push(written),
    remove: () => {},
  };
  const rpc = { capacity: 10, free: 10, ask: (method, params) => sent.push(params) };
  ops.keepIn(keep, () => {});
  void ops.add("room:lobby", "post", {});
  void ops.add("room:other", "post", {});
  ops.attach(rpc, { client: "01C", user: "ann" });
  assert.deepEqual(ops.pending.map(({ n, state, kept }) => [n, state, kept]), [[40, "queued", false], [41, "queued", false]]);
  puts[0](true);
  assert.deepEqual([ops.pending[0].kept, sent], [true, []]);
  // The second could not be kept. No later page will repeat it, so it need not wait for the
  // identity.
  puts[1](false);
  assert.deepEqual(sent.map(({ n }) => n), [41]);
  identities[0]();
  assert.deepEqual(sent.map(({ n }) => n), [41, 40]);
  assert.deepEqual(ops.pending.map(({ n, state, kept }) => [n, state, kept]), [[40, "sent", true], [41, "sent", false]]);
});

test("an op is in the database when it is sent, under the client id it is sent with, and gone once answered", async (t) => {
  const { server, page, rows } = await browser(t);
  const client = page();
  const op = client.entity("room:lobby").send("post", { text: "hi" });
  const peer = await server.welcome({ client: "01GIVEN" });
  const request = await peer.expect("send");
  const [[row], [kept]] = [await rows("clients"), await rows("ops")];
  assert.deepEqual([row.client, row.user, row.url], ["01GIVEN", "ann", server.url]);
  assert.deepEqual([kept.key, kept.n, kept.entity, kept.type, kept.body], [row.key, request.params.n, "room:lobby", "post", { text: "hi" }]);
  assert.ok(row.nextN > request.params.n);
  peer.reply(request, done(1));
  await op;
  await client.close();
  assert.deepEqual(await rows("ops"), []);
  assert.equal((await rows("clients")).length, 1);
});

test("the next page goes on as the same client: first what was left, under its numbers, then what is new, under others", async (t) => {
  const { server, page, left, rows } = await browser(t);
  const { numbers } = await left({ client: "01OLD", ops: [post("one"), post("two")] });
  const client = page();
  const room = client.entity("room:lobby");
  const op = room.send("post", { text: "three" });
  const peer = await server.welcome();
  assert.equal(peer.connectParams.client, "01OLD");
  const first = await peer.expect("send");
  assert.deepEqual(room.pending.map(({ body, state, restored, kept }) => [body.text, state, restored, kept]), [
    ["one", "sent", true, true],
    ["two", "sent", true, true],
    ["three", "queued", false, true],
  ]);
  peer.reply(first, done(1, { duplicate: true }));
  const second = await peer.expect("send");
  peer.reply(second, done(2));
  const third = await peer.expect("send");
  peer.reply(third, done(3));
  await op;
  assert.deepEqual([first, second].map(({ params }) => [params.n, params.body.text]), [[numbers[0], "one"], [numbers[1], "two"]]);
  assert.equal(third.params.body.text, "three");
  assert.ok(third.params.n > numbers[1]);
  await client.close();
  assert.deepEqual(await rows("ops"), []);
});

test("no number is used twice, even if a page dies before it has kept anything", async (t) => {
  const { storage, server, clock, locks } = await browser(t);
  const numbers = [];
  for (let k = 0; k < 3; k += 1) {
    const tab = locks.page();
    const store = await storage({ locks: tab }).open(server.url, clock, () => {});
    numbers.push(store.own.number());
    tab.crash();
  }
  assert.equal(new Set(numbers).size, 3);
  assert.deepEqual([...numbers].sort((a, b) => a - b), numbers);
});

test("ops of a page that never was connected are sent as new ones", async (t) => {
  const { server, page, left } = await browser(t);
  await left({ ops: [post("early")] });
  const client = page();
  const peer = await server.accept();
  const request = await peer.expect("connect");
  assert.equal(request.params.client, undefined);
  assert.equal(client.pending[0].state, "queued");
  peer.hello(request, { client: "01NEW" });
  peer.reply(await peer.expect("send"), done(1));
  await isEmpty(client);
});

test("two pages have two client ids; when one is gone the other sends what it left, as that one", async (t) => {
  const { server, clock, page, left, rows, errors } = await browser(t);
  const ann = page();
  const peer = await server.welcome({ client: "01ANN" });
  await inState(ann, "connected");
  const { numbers } = await left({ client: "01GONE", ops: [post("left")] });
  assert.equal((await rows("clients")).length, 2);
  await halfAMinute(ann, clock);
  const other = await server.welcome();
  assert.equal(other.connectParams.client, "01GONE");
  const request = await other.expect("send");
  assert.deepEqual([request.params.n, request.params.body], [numbers[0], { text: "left" }]);
  assert.deepEqual(ann.pending.map(({ restored, body }) => [restored, body.text]), [[true, "left"]]);
  const empty = isEmpty(ann);
  other.reply(request, done(1));
  await empty;
  assert.equal(await other.closed(), 1000);
  assert.equal(ann.state, "connected");
  assert.equal(peer.ws.readyState, peer.ws.OPEN);
  await ann.close();
  assert.deepEqual(await rows("ops"), []);
  assert.deepEqual((await rows("clients")).map(({ client }) => client), ["01ANN"]);
  assert.deepEqual(errors, []);
});

test("what is owned by a living page is not touched", async (t) => {
  const { server, clock, page, locks } = await browser(t);
  const first = page({}, { answerTimeoutMs: 120_000 });
  const room = first.entity("room:lobby");
  const op = room.send("post", {});
  const peer = await server.welcome({ client: "01FIRST" });
  const request = await peer.expect("send");
  const second = page();
  const other = await server.welcome({ client: "01SECOND" });
  await inState(second, "connected");
  assert.equal(other.connectParams.client, undefined);
  assert.equal(new Set(locks.names).size, 2);
  await halfAMinute(second, clock);
  second.entity("room:lobby").signal("end", {});
  await other.expect("signal");
  assert.deepEqual(second.pending, []);
  peer.reply(request, done(1));
  await op;
});

test("a tab that reloads finds its own client id, whoever else has left one", async (t) => {
  const { server, page, left } = await browser(t);
  const session = new MemoryStorage();
  const before = page({ session });
  await server.welcome({ client: "01MINE" });
  await inState(before, "connected");
  await left({ client: "01OTHER", ops: [] });
  await before.close();
  page({ session });
  assert.equal((await server.welcome()).connectParams.client, "01MINE");
});

test("ops of another user are not sent as this one: own ones are given up and told, orphans are left alone", async (t) => {
  const { server, page, left, rows, errors } = await browser(t);
  await left({ client: "01ANN", user: "ann", ops: [post("ann's")] });
  const bob = page();
  const peer = await server.welcome({ user: "bob" });
  await isEmpty(bob);
  assert.deepEqual(errors.map(({ code, op }) => [code, op.body.text]), [["outcome_unknown", "ann's"]]);
  const { key } = await left({ client: "01ANN2", user: "ann", ops: [post("ann's other")] });
  peer.cut();
  await inState(bob, "waiting");
  bob.reconnect();
  await server.welcome({ user: "bob" });
  const adopting = await server.welcome({ user: "bob" });
  assert.equal(adopting.connectParams.client, "01ANN2");
  assert.equal(await adopting.closed(), 1000);
  assert.deepEqual((await rows("ops")).map(({ key }) => key), [key]);
});

test("an op that the server knows nothing of any more is told, not dropped", async (t) => {
  const { server, page, left, rows, errors } = await browser(t);
  const { numbers } = await left({ client: "01OLD", ops: [post("too old")] });
  const client = page();
  const peer = await server.welcome();
  const told = next(client, "error");
  peer.fail(await peer.expect("send"), "op_expired");
  const { code, op } = await told;
  assert.deepEqual([code, op.n, op.entity, op.body], ["op_expired", numbers[0], "room:lobby", { text: "too old" }]);
  await client.close();
  assert.deepEqual([(await rows("ops")).length, errors.length], [0, 1]);
});

test("beyond the bound, or the browser's quota, ops are sent without being kept, and that is told once", async (t) => {
  const { server, page, rows, errors } = await browser(t);
  const client = page({ maxBytes: 60 }, { pipeline: 4 });
  const peer = await server.welcome();
  await inState(client, "connected");
  const room = client.entity("room:lobby");
  const send = (text) => void room.send("post", { text }).catch(() => {});
  for (const text of ["fits", "x".repeat(100), "y".repeat(100)]) send(text);
  const requests = [];
  while (requests.length < 3) requests.push(await peer.expect("send"));
  assert.deepEqual(room.pending.map(({ kept, state }) => [kept, state]), [[true, "sent"], [false, "sent"], [false, "sent"]]);
  assert.deepEqual(errors.map(({ code, reason }) => [code, reason]), [["storage_failed", "full"]]);
  for (const [index, request] of requests.entries()) peer.reply(request, done(index + 1));
  await isEmpty(client);

  const put = IDBObjectStore.prototype.put;
  t.mock.method(IDBObjectStore.prototype, "put", function (row) {
    if (row.body?.text === "large") throw new DOMException("no room", "QuotaExceededError");
    return put.call(this, row);
  });
  // Both are in one transaction; the one that fits is kept all the same.
  for (const text of ["large", "small"]) send(text);
  const told = next(client, "error");
  const [large, small] = [await peer.expect("send"), await peer.expect("send")];
  assert.deepEqual([large, small].map(({ params }) => params.body.text), ["large", "small"]);
  assert.deepEqual((await rows("ops")).map(({ body }) => body.text), ["small"]);
  assert.equal((await told).reason, "quota");
});

test("without Web Locks it is as with `sessionStorage`, and the app is told", async (t) => {
  const { server, page, errors } = await browser(t);
  const session = new MemoryStorage();
  session.setItem("greenroom.client", JSON.stringify({ client: "01OLD", user: "ann", nextN: 9, ops: [{ n: 8, ...post("left") }] }));
  const client = page({ locks: null, session });
  const op = client.entity("room:lobby").send("post", { text: "new" });
  const peer = await server.welcome();
  assert.equal(peer.connectParams.client, "01OLD");
  assert.deepEqual(errors.map(({ code, reason }) => [code, reason]), [["storage_failed", "no_locks"]]);
  for (const [n, text] of [[8, "left"], [9, "new"]]) {
    const request = await peer.expect("send");
    assert.deepEqual([request.params.n, request.params.body.text], [n, text]);
    peer.reply(request, done(n));
  }
  await op;
});

test("a database of a later schema is left alone, and the app is told", async (t) => {
  const { server, page, indexedDB, errors } = await browser(t);
  await new Promise((resolve) => {
    indexedDB.open("greenroom", 99).onsuccess = ({ target }) => resolve(target.result.close());
  });
  const client = page();
  const op = client.entity("room:lobby").send("post", {});
  const peer = await server.welcome();
  peer.reply(await peer.expect("send"), done(1));
  await op;
  assert.deepEqual(errors.map(({ code, reason }) => [code, reason]), [["storage_failed", "open_failed"]]);
});

test("a page with a newer schema gets the database; the older page goes on in memory and says so", async (t) => {
  const { server, page, indexedDB } = await browser(t);
  const client = page();
  const peer = await server.welcome();
  await inState(client, "connected");
  const told = next(client, "error");
  const upgraded = new Promise((resolve) => {
    indexedDB.open("greenroom", 99).onsuccess = ({ target }) => resolve(target.result.close());
  });
  assert.equal((await told).reason, "closed");
  await upgraded;
  const op = client.entity("room:lobby").send("post", {});
  peer.reply(await peer.expect("send"), done(1));
  await op;
});

test("ops for one server are not sent to another", async (t) => {
  const { server, page, left, rows } = await browser(t);
  await left({ client: "01ELSE", url: "ws://elsewhere.example/ws", ops: [post("not yours")] });
  const client = page();
  assert.equal((await server.welcome()).connectParams.client, undefined);
  await inState(client, "connected");
  assert.deepEqual(client.pending, []);
  assert.equal((await rows("ops")).length, 1);
});

test("`close` leaves what is kept to the next page; with `discard` it is gone", async (t) => {
  const { server, page, rows } = await browser(t);
  for (const [discard, left] of [[false, 1], [true, 0]]) {
    const client = page();
    const op = client.entity("room:lobby").send("post", { discard });
    const peer = await server.welcome();
    await peer.expect("send");
    const rejected = assert.rejects(op, { code: "closed" });
    await client.close({ discard });
    await rejected;
    assert.equal((await rows("ops")).length, left);
    assert.equal((await rows("clients")).length, left);
  }
});

test("a client id of one's own and IndexedDB exclude each other", async (t) => {
  const { page } = await browser(t);
  assert.throws(() => page({}, { client: "01OWN" }), { code: "invalid_argument" });
});

test("client ids that nobody uses are bounded", async (t) => {
  const { server, page, rows, locks, storage, clock } = await browser(t);
  const tabs = [];
  for (let k = 0; k < 20; k += 1) {
    tabs.push(locks.page());
    await storage({ locks: tabs[k] }).open(server.url, clock, () => {});
    clock.advance(1);
  }
  assert.equal((await rows("clients")).length, 20);
  for (const tab of tabs) tab.crash();
  const client = page();
  await server.welcome();
  await inState(client, "connected");
  await client.close();
  // Its own, and as many as are spared.
  assert.equal((await rows("clients")).length, 17);
});
