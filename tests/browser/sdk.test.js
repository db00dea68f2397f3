/** The SDK in Node against the real server, over wires that break and through processes that die. */
import assert from "node:assert/strict";
import test from "node:test";
import { Proxy } from "./support/proxy.js";
import { Server } from "./support/server.js";
import { inState, next, range, sdk, wholeHistory } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);
const gaps = (events) => events.filter(({ seq }, index) => seq !== index + 1);

story("what one sends another iterates, from the snapshot on", async (t) => {
  const server = await Server.start(t);
  const [ann, bob] = [sdk(t, server.url, { token: await server.token("ann") }), sdk(t, server.url, { token: await server.token("bob") })];
  const room = ann.entity("room:lobby");
  await room.send("post", { text: "before" });
  const items = [];
  const read = (async () => {
    for await (const item of bob.entity("room:lobby").subscribe()) {
      items.push(item);
      if (item.body?.text === "bye") return;
    }
  })();
  while (items.length === 0) await next(bob, "message");
  await room.send("post", { text: "hi" });
  const { seq, duplicate } = await room.send("post", { text: "bye" });
  await read;
  assert.equal(seq, 3);
  assert.equal(duplicate, undefined);
  assert.deepEqual(items.map(({ kind, seq }) => [kind, seq]), [["snapshot", 1], ["event", 2], ["event", 3]]);
  assert.deepEqual(items[0].snapshot.messages.map(({ from, body }) => [from, body]), [["ann", { text: "before" }]]);
  assert.equal(items[1].from, "ann");
  assert.equal(bob.user, "bob");
  assert.ok(bob.rtt === null || bob.rtt >= 0);
});

story("errors of the server come with their code, number and details", async (t) => {
  const server = await Server.start(t);
  const client = sdk(t, server.url);
  const doc = client.entity("doc:plan");
  await doc.send("set", { path: "/a", value: 1 });
  await assert.rejects(doc.send("set", { path: "/a", value: 2 }, { ifSeq: 7 }), { code: "conflict", seq: 1, rpcCode: -32011 });
  await assert.rejects(doc.send("increment", { path: "", by: 1 }), { code: "rejected", reason: "not_a_number" });
  await assert.rejects(client.entity("castle:x").read(), { code: "unknown_kind" });
  await assert.rejects(client.entity("castle:x").subscribe().ready, { code: "unknown_kind" });
  assert.deepEqual((await doc.read()).state, { a: 1 });
});

for (const [name, direction] of [["before the op arrives", "up"], ["before the answer arrives", "down"], ["in both directions", null]]) {
  story(`ops happen once, in order, when the wire is cut ${name}`, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.url);
    const [client, watcher] = [sdk(t, proxy.url), sdk(t, server.url)];
    const [count, cuts] = [60, 12];
    const seen = [];
    watcher.entity("room:lobby").subscribe().on("event", (event) => seen.push(event));
    await client.connected();
    await watcher.connected();
    let [passed, cut] = [0, 0];
    proxy.cutAt = (way) => {
      if ((direction && way !== direction) || cut === cuts) return false;
      // Every connection lives long enough to be admitted, and dies at a different point of its
      // work.
      if (++passed < 3 + (cut % 4)) return false;
      [passed, cut] = [0, cut + 1];
      return true;
    };
    const room = client.entity("room:lobby");
    const results = await Promise.all(range(count).map((k) => room.send("post", { k })));
    assert.equal(cut, cuts, "the wire was not cut as often as it should");
    assert.ok(proxy.accepted > cuts);
    assert.deepEqual(results.map(({ seq }) => seq), range(count));
    const log = await wholeHistory(watcher.entity("room:lobby"));
    assert.deepEqual(log.map(({ body }) => body.k), range(count));
    if (direction === "down") assert.ok(results.some(({ duplicate }) => duplicate), "no answer was lost, so nothing was repeated");
    assert.equal(client.pending.length, 0);
    while (seen.length < count) await next(watcher, "message");
    assert.deepEqual(seen.map(({ seq }) => seq), range(count));
  });
}

story("a subscription misses nothing and sees nothing twice while its wire is cut", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server.url);
  const [reader, writer] = [sdk(t, proxy.url), sdk(t, server.url)];
  const count = 200;
  const items = [];
  const subscription = reader.entity("room:lobby").subscribe();
  await subscription.ready;
  const done = (async () => {
    for await (const item of subscription) {
      items.push(item);
      if (item.seq === count) return;
    }
  })();
  const room = writer.entity("room:lobby");
  for (const k of range(count)) {
    await room.send("post", { k });
    if (k % 20 === 0) proxy.cut();
  }
  await done;
  assert.ok(proxy.accepted > 1);
  assert.deepEqual(items.map(({ kind }) => kind), ["snapshot", ...range(count).map(() => "event")]);
  assert.deepEqual(items.slice(1).map(({ body }) => body.k), range(count));
});

for (const pipeline of [1, 16]) {
  story(`kill -9 amid ops, ${pipeline} at a time: each is acknowledged once and stored once`, async (t) => {
    const server = await Server.start(t);
    const [client, watcher] = [sdk(t, server.url, { pipeline }), sdk(t, server.url)];
    const [count, kills] = [400, 3];
    const [seen, answers] = [[], new Map()];
    const subscription = watcher.entity("room:lobby").subscribe();
    subscription.on("event", (event) => seen.push(event));
    await subscription.ready;
    const room = client.entity("room:lobby");
    let [restarts, killed] = [Promise.resolve(), 0];
    const sent = range(count).map(async (k) => {
      const { seq } = await room.send("post", { k });
      assert.ok(!answers.has(k), "answered twice");
      answers.set(k, seq);
      if (answers.size < ((killed + 1) * count) / (kills + 1) || killed === kills) return;
      killed += 1;
      restarts = restarts.then(() => server.kill()).then(() => server.start());
    });
    await Promise.all(sent);
    await restarts;
    assert.equal(killed, kills);
    const log = await wholeHistory(watcher.entity("room:lobby"));
    assert.deepEqual(gaps(log), []);
    assert.deepEqual(log.map(({ body }) => body.k), range(count));
    for (const { seq, body } of log) assert.equal(answers.get(body.k), seq);
    while (seen.length < count) await next(watcher, "message");
    assert.deepEqual(seen.map(({ seq }) => seq), range(count));
  });
}

story("a clean stop says goodbye, and everybody comes back to all of it", async (t) => {
  const server = await Server.start(t, '[drain]\nreconnect_after = "100ms"\nreconnect_spread = "100ms"\n');
  const client = sdk(t, server.url, { token: await server.token("ann") });
  const room = client.entity("room:lobby");
  const subscription = room.subscribe({ presence: true });
  await room.presence.enter({ name: "Ann" });
  await room.send("post", { text: "before" });
  const lost = next(client, "state", ({ state }) => state === "waiting");
  const goodbye = next(client, "message", ({ data }) => data.includes('"goodbye"'));
  const stopped = server.terminate();
  assert.match((await goodbye).data, /"reason":"shutting_down"/);
  assert.equal((await lost).error.code, "shutting_down");
  assert.equal(await stopped, 0);
  const event = next(subscription, "event");
  const sent = room.send("post", { text: "meanwhile" });
  assert.deepEqual(client.pending.map(({ entity, type, inFlight }) => [entity, type, inFlight]), [["room:lobby", "post", false]]);
  // Present again without the app's doing.
  const entered = next(subscription, "presence", ({ members }) => members?.length === 1);
  await server.start();
  assert.equal((await sent).seq, 2);
  assert.equal((await event).body.text, "meanwhile");
  assert.deepEqual((await entered).members, [{ user: "ann", meta: { name: "Ann" }, sessions: 1 }]);
  assert.equal(client.pending.length, 0);
});

story("presence and signals: who is here is told, and who loses the wire is here again", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server.url);
  const ann = sdk(t, proxy.url, { token: await server.token("ann") });
  const bob = sdk(t, server.url, { token: await server.token("bob") });
  const subscription = bob.entity("room:lobby").subscribe({ presence: true });
  await subscription.ready;
  const joined = next(subscription, "presence", ({ joined }) => joined.length > 0);
  await ann.entity("room:lobby").presence.enter({ mood: "fine" });
  assert.deepEqual((await joined).members, [{ user: "ann", meta: { mood: "fine" }, sessions: 1 }]);
  const heard = next(subscription, "signal");
  assert.equal(ann.entity("room:lobby").signal("typing", { on: true }, { key: "typing" }), true);
  assert.deepEqual((({ from, type, body, key }) => ({ from, type, body, key }))(await heard), { from: "ann", type: "typing", body: { on: true }, key: "typing" });

  const gone = inState(ann, "waiting");
  proxy.cut();
  await gone;
  assert.equal(ann.entity("room:lobby").signal("typing", { on: true }), false);
  await ann.connected();
  // Leaving and coming back may be told as one, or not at all; it ends with her here, once.
  const once = (members) => members?.length === 1 && members[0].sessions === 1;
  while (!once((await bob.entity("room:lobby").presence.list()).members));
  if (!once(subscription.members)) await next(subscription, "presence", ({ members }) => once(members));
  await ann.entity("room:lobby").presence.leave();
  if (subscription.members.length > 0) await next(subscription, "presence", ({ members }) => members.length === 0);
  assert.equal((await bob.entity("room:lobby").presence.list()).count, 0);
});

story("a token that is about to expire is refreshed on the live connection", async (t) => {
  const server = await Server.start(t, "");
  let asked = 0;
  const client = sdk(t, server.url, { token: () => server.token("ann", ++asked === 1 ? "4s" : "1h") });
  await client.connected();
  const { session, expires_at: expiry } = client.hello;
  await next(client, "message", ({ direction, data }) => direction === "in" && data.includes('"expires_at"'));
  assert.equal((await client.entity("room:lobby").send("post", {})).seq, 1);
  assert.ok(client.hello.expires_at > expiry + 3_000_000);
  assert.equal(client.hello.session, session);
  assert.equal(asked, 2);
});

story("a fixed token that expires ends the client for good, and says why", async (t) => {
  const server = await Server.start(t);
  const client = sdk(t, server.url, { token: await server.token("ann", "2s") });
  await client.connected();
  await inState(client, "closed");
  assert.equal(client.error.code, "token_expired");
  await assert.rejects(client.entity("room:lobby").send("post", {}), { code: "token_expired" });
});

story("an iterator that is slow gets every event all the same", async (t) => {
  const server = await Server.start(t);
  const [reader, writer] = [sdk(t, server.url), sdk(t, server.url, { pipeline: 32 })];
  const count = 500;
  const subscription = reader.entity("room:lobby").subscribe({ buffer: 10 });
  await subscription.ready;
  // It takes where to start from, and then nothing more until all has happened.
  assert.equal((await subscription[Symbol.asyncIterator]().next()).value.kind, "snapshot");
  const room = writer.entity("room:lobby");
  await Promise.all(range(count).map((k) => room.send("post", { k })));
  if (subscription.position.seq < count) await next(subscription, "event", ({ seq }) => seq === count);
  const items = [];
  for await (const item of subscription) {
    items.push(item);
    if (item.seq === count) break;
  }
  assert.deepEqual(items.map(({ kind, seq }) => [kind, seq]), range(count).map((seq) => ["event", seq]));
});

story("a reader that takes nothing for a while is not cut off, and misses nothing", async (t) => {
  const server = await Server.start(t, '[socket]\noutbox_bytes = "64KiB"\n[kinds.room]\nbehaviour = "room"\nring_events = 8\n');
  const proxy = await Proxy.start(t, server.url);
  const [reader, writer] = [sdk(t, proxy.url), sdk(t, server.url, { pipeline: 32 })];
  const subscription = reader.entity("room:lobby").subscribe();
  await subscription.ready;
  // 12 MB: more than the kernel takes for somebody who reads nothing.
  const [count, seen] = [600, []];
  proxy.hold(true);
  subscription.on("event", ({ seq }) => seen.push(seq));
  const room = writer.entity("room:lobby");
  await Promise.all(range(count).map((k) => room.send("post", { k, text: "x".repeat(20_000) })));
  assert.ok(seen.length < count, "it was to take nothing");
  proxy.hold(false);
  if (seen.length < count) await next(subscription, "event", ({ seq }) => seq === count);
  assert.deepEqual(seen, range(count));
  assert.equal(proxy.accepted, 1);
});

story("after a reload the new page sends what the old one had not got answered", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server.url);
  const first = sdk(t, proxy.url, { token: await server.token("ann") });
  await first.entity("room:lobby").send("post", { text: "one" });
  const { client } = first.hello;
  // The answer to the second op is lost with the page.
  proxy.cutAt = (way) => way === "down";
  void first.entity("room:lobby").send("post", { text: "two" }).catch(() => {});
  await inState(first, "waiting");
  const [{ n }] = first.pending;
  first.close();
  proxy.cutAt = () => false;
  const second = sdk(t, server.url, { token: await server.token("ann"), client, firstN: n });
  await second.entity("room:lobby").send("post", { text: "two" });
  await second.entity("room:lobby").send("post", { text: "three" });
  assert.deepEqual((await wholeHistory(second.entity("room:lobby"))).map(({ body }) => body.text), ["one", "two", "three"]);
});
