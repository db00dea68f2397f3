/** What is refused for a rate, or would be. */
import assert from "node:assert/strict";
import test from "node:test";
import { Pace } from "../src/pace.js";
import { FakeClock } from "./support/clock.js";
import { LIMITS } from "./support/server.js";
import { inState, next, story } from "./support/story.js";

const LOBBY = "room:lobby";
const snapshot = (entity) => ({ entity, epoch: "e", seq: 0, snapshot: {} });
const rates = (per_second, burst, more = {}) => ({ limits: { ...LIMITS, rates: { requests: { per_second, burst }, ...more } } });

async function connected(t, hello = {}, options = {}) {
  const all = await story(t);
  const client = all.connect(options);
  const peer = await all.server.welcome(hello);
  await inState(client, "connected");
  const heard = (text) => next(client, "message", ({ direction, data }) => direction === "in" && data.includes(text));
  return { ...all, client, peer, heard };
}

const room = (client) => client.entity(LOBBY);
const asks = {
  subscribe: { run: (client) => room(client).subscribe().ready, answer: snapshot(LOBBY) },
  send: { run: (client) => room(client).send("post", {}), answer: { seq: 1, epoch: "e", at: 1 } },
  read: { run: (client) => room(client).read(), answer: { epoch: "e", seq: 1, state: {} } },
  enter: { method: "presence", run: (client) => room(client).presence.enter(), answer: { count: 1 } },
  leave: { method: "presence", run: (client) => room(client).presence.leave(), answer: { count: 0 } },
  list: { method: "presence", run: (client) => room(client).presence.list(), answer: { count: 0, members: [] } },
};
const limits = [["rate_limited", { reason: "requests" }], ["rate_limited", { reason: "bytes" }], ["rate_limited", { reason: "user" }], ["too_many_in_flight", {}]];

for (const [name, { method = name, run, answer }] of Object.entries(asks)) {
  for (const [code, data] of limits) {
    test(`refused as ${code} ${data.reason ?? ""}, \`${name}\` is made again after the pause, and everything else waits with it`, async (t) => {
      const { clock, client, peer, heard } = await connected(t);
      const outcome = run(client);
      const told = heard(code);
      peer.fail(await peer.expect(method), code, { ...data, retry_after_ms: 2_000 });
      await told;
      const other = client.entity("doc:other").history();
      clock.advance(1_999);
      client.ping();
      await next(client, "rtt");
      clock.advance(1);
      // Of the two, an op comes second.
      const order = name === "send" ? ["history", method] : [method, "history"];
      for (const each of order) {
        peer.reply(await peer.expect(each), each === method ? answer : { epoch: "e", events: [], more: false });
        await (each === method ? outcome : other);
        clock.advance(100);
      }
    });
  }
}

for (const reason of ["entity", "waking", "awake"]) {
  test(`what is refused for \`${reason}\` is made again, and holds up nothing else`, async (t) => {
    const { clock, client, peer, heard } = await connected(t);
    const ready = room(client).subscribe().ready;
    const told = heard("rate_limited");
    peer.fail(await peer.expect("subscribe"), "rate_limited", { reason, retry_after_ms: 2_000 });
    await told;
    const sent = client.entity("doc:other").send("set", {});
    peer.reply(await peer.expect("send"), asks.send.answer);
    await sent;
    clock.advance(2_000);
    peer.reply(await peer.expect("subscribe"), snapshot(LOBBY));
    await ready;
  });
}

test("an unsubscribe that is refused is made again, whatever it was refused for", async (t) => {
  const { clock, client, peer, heard } = await connected(t);
  const sub = room(client).subscribe();
  peer.reply(await peer.expect("subscribe"), snapshot(LOBBY));
  await sub.ready;
  sub.close();
  for (const [code, data] of [["rate_limited", { reason: "requests" }], ["overloaded", {}], ["unavailable", {}]]) {
    const told = heard(code);
    const request = await peer.expect("unsubscribe");
    assert.deepEqual(request.params, { entity: LOBBY });
    peer.fail(request, code, { ...data, retry_after_ms: 500 });
    await told;
    clock.advance(500);
  }
  peer.reply(await peer.expect("unsubscribe"), {});
});

test("a leave that is refused is made again", async (t) => {
  const { clock, client, peer, heard } = await connected(t);
  const left = room(client).presence.leave();
  const told = heard("overloaded");
  peer.fail(await peer.expect("presence"), "overloaded", { retry_after_ms: 500 });
  await told;
  clock.advance(500);
  const again = await peer.expect("presence");
  assert.equal(again.params.action, "leave");
  peer.reply(again, { count: 0 });
  await left;
});

test("an enter that was refused does not outlast the leave that came after it", async (t) => {
  const { clock, client, peer, heard } = await connected(t);
  const [entered, left] = [room(client).presence.enter(), room(client).presence.leave()];
  const [enter, leave] = [await peer.expect("presence"), await peer.expect("presence")];
  const told = heard('"count":0');
  peer.fail(enter, "rate_limited", { reason: "requests", retry_after_ms: 100 });
  peer.reply(leave, { count: 0 });
  await told;
  await left;
  clock.advance(100);
  const again = await peer.expect("presence");
  assert.equal(again.params.action, "enter");
  peer.reply(again, { count: 1 });
  await entered;
  clock.advance(1_000);
  assert.equal((await peer.expect("presence")).params.action, "leave");
});

test("pauses are spread, and do not count as retries of an op", async (t) => {
  const { clock, client, peer, heard } = await connected(t, {}, { maxRetries: 0 });
  clock.dice = 0.5;
  const op = room(client).send("post", {});
  for (let k = 0; k < 3; k += 1) {
    const told = heard("rate_limited");
    const request = await peer.expect("send");
    assert.equal(request.params.n, 1);
    peer.fail(request, "rate_limited", { reason: "requests", retry_after_ms: 1_000 });
    await told;
    clock.advance(1_499);
    client.ping();
    await next(client, "rtt");
    clock.advance(1);
  }
  peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
  await op;
});

test("300 ops to 300 rooms go out at the rates that the server reports", async (t) => {
  const { clock, client, peer } = await connected(t, rates(100, 40));
  const ops = Array.from({ length: 300 }, (_, k) => client.entity(`room:r${k}`).send("post", k));
  let sent = 0;
  const answer = async () => {
    for (; sent < 300; sent += 1) peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
  };
  const answered = answer();
  for (let second = 0; sent < 300; second += 1) {
    client.ping();
    await next(client, "rtt");
    assert.ok(sent <= 40 + second * 10, `${sent} within ${second * 100} ms`);
    clock.advance(100);
  }
  await answered;
  await Promise.all(ops);
});

test("after a reconnect 250 rooms are subscribed to and entered within `connect`", async (t) => {
  const { server, clock, client, peer } = await connected(t, rates(100, 200));
  const ids = Array.from({ length: 250 }, (_, k) => `room:r${k}`);
  const sub = ids.map((id) => client.entity(id).subscribe());
  const entered = ids.map((id) => client.entity(id).presence.enter({ name: "Ann" }));
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const again = await server.accept();
  const request = await again.expect("connect");
  assert.deepEqual(request.params.subscriptions.map(({ entity }) => entity), ids);
  // They were asked for when the wire was cut, and are asked for again under their own calls.
  again.hello(request, { ...rates(10_000, 10_000), subscriptions: ids.map((entity) => ({ entity, result: snapshot(entity) })) });
  for (const id of ids) {
    const call = await again.expect("presence");
    assert.deepEqual(call.params, { entity: id, action: "enter", meta: { name: "Ann" } });
    again.reply(call, { count: 1 });
    clock.advance(10);
  }
  await Promise.all([...entered, ...sub.map(({ ready }) => ready)]);
  await restarted({ server, clock, client, peer: again });
  clock.advance(1_000);
  const third = await server.accept();
  const last = await third.expect("connect");
  assert.deepEqual(last.params.presence, ids.map((entity) => ({ entity, meta: { name: "Ann" } })));
  third.hello(last, {
    ...rates(100, 200),
    subscriptions: ids.map((entity) => ({ entity, result: { entity, epoch: "e", seq: 0, events: [] } })),
    presence: ids.map((entity, k) => (k === 7 ? { entity, error: { code: -32021, message: "later", data: { code: "overloaded" } } } : { entity, result: { count: 1 } })),
  });
  assert.deepEqual((await third.expect("presence")).params.entity, "room:r7");
});

/** The session is lost with the server: an attempt comes to nothing. */
async function restarted({ server, clock, client, peer }) {
  peer.cut();
  await inState(client, "waiting");
  const down = next(client, "state", ({ state, previous }) => state === "waiting" && previous === "connecting");
  clock.advance(0);
  (await server.accept()).cut();
  await down;
}

test("what the server will not have within `connect` is told, and not asked for again", async (t) => {
  const { server, clock, client, peer } = await connected(t);
  const entered = room(client).presence.enter();
  peer.reply(await peer.expect("presence"), { count: 1 });
  await entered;
  await restarted({ server, clock, client, peer });
  const failed = next(client, "error");
  clock.advance(0);
  const again = await server.welcome({ presence: [{ entity: LOBBY, error: { code: -32003, message: "no", data: { code: "forbidden" } } }] });
  assert.equal((await failed).code, "forbidden");
  room(client).signal("mark", {});
  await again.expect("signal");
});

test("an older server, which does not know presence in `connect`, is asked without", async (t) => {
  const { server, clock, client, peer } = await connected(t);
  const entered = room(client).presence.enter();
  peer.reply(await peer.expect("presence"), { count: 1 });
  await entered;
  await restarted({ server, clock, client, peer });
  clock.advance(0);
  const second = await server.accept();
  second.fail(await second.expect("connect"), "invalid_params");
  await inState(client, "waiting");
  clock.advance(0);
  const third = await server.welcome();
  assert.equal(third.connectParams.presence, undefined);
  assert.equal((await third.expect("presence")).params.action, "enter");
});

test("a right that ended during the connection ends the subscription and the presence it covered", async (t) => {
  const { client, peer } = await connected(t);
  const sub = room(client).subscribe();
  peer.reply(await peer.expect("subscribe"), snapshot(LOBBY));
  const entered = room(client).presence.enter();
  peer.reply(await peer.expect("presence"), { count: 1 });
  await Promise.all([sub.ready, entered]);
  const [closed, failed] = [next(sub, "close"), next(client, "error")];
  peer.notify("unsubscribed", { entity: LOBBY, reason: "forbidden" });
  peer.notify("left", { entity: LOBBY, reason: "forbidden" });
  assert.equal((await closed).code, "forbidden");
  assert.equal((await failed).code, "forbidden");
  room(client).signal("mark", {});
  await peer.expect("signal");
});

test("signals over the rate wait by key, the latest of each, and leave room for what must not be lost", async (t) => {
  const { clock, client, peer } = await connected(t, rates(100, 40));
  let sent = 0;
  for (let k = 0; k < 120; k += 1) sent += room(client).signal("loose", { k }) ? 1 : 0;
  assert.equal(sent, 16);
  for (let k = 0; k < 120; k += 1) assert.equal(room(client).signal("cursor", { k }, { key: "mouse" }), true);
  const op = room(client).send("post", {});
  for (let k = 0; k < sent; k += 1) await peer.expect("signal");
  peer.reply(await peer.expect("send"), { seq: 1, epoch: "e", at: 1 });
  await op;
  clock.advance(1_000);
  const cursor = await peer.expect("signal");
  assert.deepEqual([cursor.params.body, cursor.params.key], [{ k: 119 }, "mouse"]);
  room(client).signal("mark", {});
  assert.equal((await peer.expect("signal")).params.type, "mark");
});

test("signals wait in a bounded number of keys, and not beyond their connection", async (t) => {
  const { server, clock, client, peer } = await connected(t, rates(1, 2));
  const taken = Array.from({ length: 500 }, (_, k) => room(client).signal("cursor", {}, { key: `k${k}` })).filter(Boolean).length;
  assert.ok(taken <= 66, `${taken} were taken`);
  peer.cut();
  await inState(client, "waiting");
  clock.advance(0);
  const again = await server.welcome(rates(1_000, 1_000));
  await inState(client, "connected");
  clock.advance(500);
  room(client).signal("mark", {});
  assert.equal((await again.expect("signal")).params.type, "mark");
});

test("signals that the server refused are told, and over the rate they pause the connection", async (t) => {
  const { clock, client, peer } = await connected(t);
  const told = next(client, "error");
  peer.notify("refused", { method: "signal", entity: LOBBY, error: { code: -32020, message: "slower", data: { code: "rate_limited", reason: "requests", retry_after_ms: 700 } }, count: 5 });
  const error = await told;
  assert.deepEqual([error.code, error.reason, error.refused], ["rate_limited", "requests", { method: "signal", entity: LOBBY, count: 5 }]);
  assert.equal(room(client).signal("loose", {}), false);
  const read = room(client).read();
  clock.advance(699);
  client.ping();
  await next(client, "rtt");
  clock.advance(1);
  peer.reply(await peer.expect("read"), { epoch: "e", seq: 0, state: {} });
  await read;
});

test("the queue of waiting requests is bounded, and what finds it full fails", async (t) => {
  const { client, peer, heard } = await connected(t, {}, { maxPending: 3 });
  const first = room(client).read();
  const told = heard("rate_limited");
  peer.fail(await peer.expect("read"), "rate_limited", { reason: "requests", retry_after_ms: 9_000 });
  await told;
  const calls = Array.from({ length: 9 }, () => room(client).read());
  const outcomes = Promise.allSettled([first, ...calls]);
  const subs = Array.from({ length: 9 }, (_, k) => client.entity(`room:r${k}`).subscribe());
  const refused = (await Promise.allSettled(subs.slice(4).map(({ ready }) => ready))).map(({ reason }) => reason?.code);
  client.close();
  assert.deepEqual((await outcomes).map(({ reason }) => reason.code).sort(), [...Array(3).fill("closed"), ...Array(7).fill("queue_full")]);
  assert.deepEqual(refused, Array(5).fill("queue_full"));
});

test("the pace never lets more through than a bucket of the server's would, pauses, and recovers", () => {
  for (const [per_second, burst] of [[1, 1], [5, 20], [100, 200], [1_000, 10]]) {
    const clock = new FakeClock();
    const pace = new Pace(clock);
    pace.set({ requests: { per_second, burst } });
    let sent = 0;
    for (let ms = 0; ms < 5_000; ms += 7) {
      while (pace.wait() === 0) {
        pace.take(100);
        sent += 1;
        assert.ok(sent <= burst + (ms * per_second) / 1_000, `${sent} within ${ms} ms of ${per_second}, ${burst}`);
      }
      clock.advance(7);
    }
    assert.ok(sent >= 4 * per_second * 0.8, `only ${sent} of ${per_second} a second`);
  }
});

test("bytes are paced as well", () => {
  const clock = new FakeClock();
  const pace = new Pace(clock);
  pace.set({ bytes: { per_second: 1_000, burst: 4_000 } });
  let sent = 0;
  for (; pace.wait() === 0; sent += 1) pace.take(1_000);
  assert.equal(sent, 3);
  clock.advance(10_000);
  assert.equal(pace.wait(), 0);
});
