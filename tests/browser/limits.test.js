/** Honest apps that do much at once, against a server with its default limits: nothing is lost, and nobody is disconnected. */
import assert from "node:assert/strict";
import test from "node:test";
import { Browser } from "./support/browser.js";
import { Server } from "./support/server.js";
import { inState, next, range, sdk } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);
const rooms = (client, count) => range(count).map((k) => client.entity(`room:r${k}`));

/** A server with default limits, and a client of which every loss of the connection is noted. */
async function stage(t, options = {}) {
  const server = await Server.start(t, "", { limits: "" });
  const client = sdk(t, server.url, { token: await server.token("ann"), ...options });
  const losses = [];
  client.on("state", ({ state, error }) => state === "waiting" && losses.push(error.message));
  return { server, client, losses };
}

story("300 posts to 300 rooms at once are all stored, over one connection", async (t) => {
  const { client, losses } = await stage(t);
  const results = await Promise.all(rooms(client, 300).map((room) => room.send("post", { text: "hi" })));
  assert.deepEqual(results.map(({ seq }) => seq), Array(300).fill(1));
  assert.deepEqual(losses, []);
});

story("who subscribes to and enters 250 rooms is in all of them, also after the server was killed", async (t) => {
  const { server, client, losses } = await stage(t);
  const all = rooms(client, 250);
  const subs = all.map((room) => room.subscribe({ presence: true }));
  await Promise.all([...subs.map(({ ready }) => ready), ...all.map((room) => room.presence.enter({ name: "Ann" }))]);
  assert.deepEqual(losses, []);
  const waiting = inState(client, "waiting");
  await server.kill();
  await waiting;
  const op = all[0].send("post", { text: "while it was down" });
  const here = subs.map((sub) => next(sub, "presence", ({ members }) => members?.some(({ user }) => user === "ann")));
  await server.start();
  await Promise.all([op, ...here]);
  assert.equal(client.state, "connected");
  assert.ok(losses.every((message) => !message.includes("4008")), losses.join());
  const bob = sdk(t, server.url, { token: await server.token("bob") });
  const lists = await Promise.all(rooms(bob, 250).map((room) => room.presence.list()));
  assert.deepEqual(lists.map(({ members }) => members.map(({ user, meta }) => `${user} ${meta.name}`)), Array(250).fill(["ann Ann"]));
});

story("a cursor at 120 Hz costs neither the connection nor an op, and its last position arrives", async (t) => {
  const { server, client, losses } = await stage(t);
  const bob = sdk(t, server.url, { token: await server.token("bob") });
  const seen = [];
  const sub = bob.entity("room:r1").subscribe();
  sub.on("signal", ({ body }) => seen.push(body.x));
  await sub.ready;
  const room = client.entity("room:r1");
  await client.connected();
  const last = next(sub, "signal", ({ body }) => body.x === 600);
  let x = 0;
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      x += 1;
      room.signal("cursor", { x }, { key: "mouse" });
      if (x === 300) room.send("post", { text: "in between" }).then(null, assert.fail);
      if (x === 600) resolve(clearInterval(timer));
    }, 1_000 / 120);
  });
  await last;
  assert.deepEqual(losses, []);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
  assert.equal((await room.history()).events.length, 1);
});

story("70 subscriptions that are closed in the same turn are not at the server", async (t) => {
  const { server, client, losses } = await stage(t);
  await client.connected();
  for (const room of rooms(client, 70)) room.subscribe().close();
  // The server would refuse these if it had the others.
  const subs = rooms(client, 256).map((room) => room.subscribe());
  await Promise.all(subs.map(({ ready }) => ready));
  for (const sub of subs) sub.close();
  const after = client.entity("room:after");
  const sub = after.subscribe();
  await sub.ready;
  const heard = [];
  client.on("message", ({ direction, data }) => direction === "in" && data.includes('"method":"event"') && heard.push(data));
  const bob = sdk(t, server.url, { token: await server.token("bob") });
  const seen = next(sub, "event");
  await Promise.all(rooms(bob, 70).map((room) => room.send("post", {})));
  await bob.entity("room:after").send("post", {});
  await seen;
  assert.equal(heard.length, 1);
  assert.deepEqual(losses, []);
});

story("200 subscriptions reach a server that takes messages of 12 KiB", async (t) => {
  const server = await Server.start(t, '[socket]\nmax_message_bytes = "12KiB"\nmax_frame_bytes = "12KiB"\n[kinds.room]\nbehaviour = "room"\nmax_body_bytes = "8KiB"\n');
  const client = sdk(t, server.url, { token: await server.token("ann") });
  const subs = range(200).map((k) => client.entity(`room:${"x".repeat(60)}${k}`).subscribe());
  await Promise.all(subs.map(({ ready }) => ready));
  assert.equal(client.hello.limits.max_message_bytes, 12 * 1024);
});

story("a page recognizes its own events, also those that came before their answers", async (t) => {
  const server = await Server.start(t);
  const [ann, bob] = [sdk(t, server.url, { token: await server.token("ann") }), sdk(t, server.url, { token: await server.token("ann") })];
  const [mine, other] = [ann.entity("room:r1").subscribe(), bob.entity("room:r1").subscribe()];
  await Promise.all([mine.ready, other.ready]);
  const seen = Promise.all([mine, other].map((sub) => next(sub, "event")));
  const pending = [];
  mine.on("event", () => pending.push(ann.pending.length));
  await ann.entity("room:r1").send("post", {});
  const [own, others] = await seen;
  // The same user in another tab is not this client.
  assert.deepEqual([own.own, others.own, own.tag], [true, undefined, others.tag]);
  assert.deepEqual(pending, [0]);
  assert.equal((await ann.entity("room:r1").history()).events[0].own, true);
});

story("in a real page: 250 rooms, 300 posts, a server that is killed, and a network that goes", async (t) => {
  const server = await Server.start(t, "", { limits: "" });
  const browser = await Browser.start(t);
  const { page } = await browser.open(server.page);
  const posted = await page.evaluate(async () => {
    const { connect } = await import("/client/greenroom.js");
    const client = (globalThis.client = connect());
    const states = (globalThis.states = []);
    client.on("state", ({ state, error }) => states.push([state, error?.message]));
    const rooms = (globalThis.rooms = Array.from({ length: 250 }, (_, k) => client.entity(`room:b${k}`)));
    const subs = (globalThis.subs = rooms.map((room) => room.subscribe({ presence: true })));
    await Promise.all([...subs.map(({ ready }) => ready), ...rooms.map((room) => room.presence.enter({ name: "Ann" }))]);
    const results = await Promise.all(Array.from({ length: 300 }, (_, k) => client.entity(`room:p${k}`).send("post", {})));
    return [results.length, states.filter(([state]) => state === "waiting").length];
  });
  assert.deepEqual(posted, [300, 0]);
  await server.kill();
  await page.waitForFunction(() => globalThis.client.state === "waiting");
  await server.start();
  await page.waitForFunction(() => globalThis.client.state === "connected" && globalThis.subs.every((sub) => sub.members?.some(({ user }) => user === globalThis.client.user)));
  assert.ok((await page.evaluate(() => globalThis.states)).every(([, message]) => !message?.includes("4008")));
  const offline = page.waitForFunction(() => globalThis.client.state === "waiting");
  await page.context().setOffline(true);
  await offline;
  await page.context().setOffline(false);
  await page.waitForFunction(() => globalThis.client.state === "connected");
});
