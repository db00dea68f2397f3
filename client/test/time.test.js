/** What does not depend on the date that the user's clock shows. */
import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import test from "node:test";
import { MemoryStorage, browser } from "./support/pages.js";
import { inState, next, story } from "./support/story.js";

const HOUR = 3_600_000;
const T0 = 50_000_000;
const room = (client) => client.entity("room:lobby");

for (const step of [2 * HOUR, -2 * HOUR]) {
  test(`ops are dated by the server's clock, also when the user's clock is set by ${step / HOUR} h while connected`, async (t) => {
    const { server, clock, connect } = await story(t);
    const client = connect();
    const peer = await server.welcome({ now: T0 });
    await inState(client, "connected");
    clock.step(step);
    clock.advance(4_000);
    const op = room(client).send("post", 1);
    const request = await peer.expect("send");
    assert.equal(request.params.first_sent, T0 + 4_000);
    peer.reply(request, { seq: 1, epoch: "e", at: 1 });
    await op;
    clock.advance(26_000);
    assert.equal(client.state, "connected");
  });

  test(`a connection that lived for a while is a good one, and waits are as long as they should be, with a step of ${step / HOUR} h`, async (t) => {
    const { server, clock, connect } = await story(t, { random: 0.5 });
    const client = connect({ backoff: { baseMs: 1_000, capMs: 60_000 } });
    for (let k = 0; k < 3; k += 1) {
      const peer = await server.welcome();
      await inState(client, "connected");
      clock.advance(10_000);
      clock.step(step);
      peer.cut();
      await inState(client, "waiting");
      clock.advance(500);
    }
    await server.welcome();
  });
}

test("an op that an earlier page sent keeps the date of its first sending, and one that was never sent gets the new page's", async (t) => {
  const { server, clock, connect } = await story(t);
  const storage = new MemoryStorage();
  const listeners = new Map();
  globalThis.window = { addEventListener: (name, run) => listeners.set(name, run), removeEventListener: () => {} };
  globalThis.document = globalThis.window;
  t.after(() => {
    delete globalThis.window;
    delete globalThis.document;
  });
  const first = connect({ storage });
  const peer = await server.welcome({ now: T0 });
  for (const k of [1, 2]) room(first).send("post", k).catch(() => {});
  const sent = await peer.expect("send");
  listeners.get("pagehide")();
  first.close();
  clock.advance(HOUR);
  const second = connect({ storage });
  const later = await server.welcome({ now: T0 + HOUR });
  const again = await later.expect("send");
  assert.deepEqual(again.params, sent.params);
  assert.equal(again.params.first_sent, T0);
  later.reply(again, { seq: 1, epoch: "e", at: 1 });
  assert.equal((await later.expect("send")).params.first_sent, T0 + HOUR);
  second.close();
});

/** A page puts an op down, is connected at `connectedAt`, before or after that, and dies. */
async function left(t, { online, connectedAt }) {
  const all = await browser(t);
  const page = all.page();
  const put = () => {
    const kept = next(page, "pending", () => page.pending[0]?.kept);
    room(page).send("post", "left").catch(() => {});
    return kept;
  };
  let peer = null;
  const up = async () => {
    peer = await all.server.welcome({ now: connectedAt });
    await inState(page, "connected");
  };
  await (online ? up() : put());
  all.clock.advance(7_000);
  await (online ? put() : up());
  const sent = await peer.expect("send");
  await page.close();
  all.clock.advance(HOUR);
  return { ...all, sent };
}

test("an op that was kept while connected carries the time at which it was kept", async (t) => {
  const { server, page, sent } = await left(t, { online: true, connectedAt: T0 });
  assert.equal(sent.params.first_sent, T0 + 7_000);
  const client = page();
  const peer = await server.welcome({ now: T0 + HOUR });
  assert.equal((await peer.expect("send")).params.first_sent, T0 + 7_000);
  assert.equal(room(client).pending[0].state, "sent");
});

test("an op that was kept without a connection, and sent later, carries the time at which it could be sent", async (t) => {
  const { server, page } = await left(t, { online: false, connectedAt: T0 });
  page();
  const peer = await server.welcome({ now: T0 + HOUR });
  assert.equal((await peer.expect("send")).params.first_sent, T0);
});

test("an op that no page can have sent is a new one, whatever the clocks of its pages showed", async (t) => {
  const { server, clock, page } = await browser(t);
  const first = page();
  await server.accept();
  const kept = next(first, "pending", () => first.pending[0]?.kept);
  room(first).send("post", "left").catch(() => {});
  await kept;
  await first.close();
  clock.step(-5 * HOUR);
  const second = page();
  const pending = next(second, "pending");
  const peer = await server.accept();
  const hello = await peer.expect("connect");
  await pending;
  assert.equal(room(second).pending[0].state, "queued");
  peer.hello(hello, { now: T0 });
  assert.equal((await peer.expect("send")).params.first_sent, T0);
});

test("an op of another tab that is sent for it is dated as well", async (t) => {
  const { server, page, left, clock } = await browser(t);
  const client = page();
  await server.welcome({ client: "01MINE", now: T0 });
  await inState(client, "connected");
  await left({ client: undefined, ops: [{ entity: "room:lobby", type: "post", body: 1, firstSent: null }] });
  for (let k = 0; k < 2; k += 1) {
    const measured = next(client, "rtt");
    clock.advance(15_000);
    await measured;
  }
  const other = await server.welcome({ client: "01OTHER", now: T0 + 30_000 });
  assert.equal((await other.expect("send")).params.first_sent, T0 + 30_000);
});
