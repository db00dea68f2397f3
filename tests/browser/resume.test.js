/** A connection in the lost one's place, against the real server: what the others see of it. */
import assert from "node:assert/strict";
import test from "node:test";
import { WebSocket } from "ws";
import { Proxy } from "./support/proxy.js";
import { Server } from "./support/server.js";
import { inState, next, sdk } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);
const ROOM = "room:lobby";

/** Ann is in the room, over a wire that can be cut; Bob watches, and keeps all that he is told of who comes and goes. */
async function stage(t, grace) {
  const server = await Server.start(t, `[socket]\npresence_grace = "${grace}"\n[kinds.room]\nbehaviour = "room"\npresence_interval = "20ms"\n`);
  const proxy = await Proxy.start(t, server.url);
  const ann = sdk(t, proxy.url, { token: await server.token("ann") });
  const bob = sdk(t, server.url, { token: await server.token("bob") });
  const subscription = bob.entity(ROOM).subscribe({ presence: true });
  await subscription.ready;
  const told = [];
  subscription.on("presence", ({ joined, updated, left }) => {
    told.push(...joined.map(({ user }) => `${user} joined`), ...updated.map(({ user, meta }) => `${user} is ${meta.mood}`), ...left.map((user) => `${user} left`));
  });
  const here = ann.entity(ROOM).presence;
  await here.enter({ mood: "fine" });
  const until = async (count) => {
    while (told.length < count) await next(subscription, "presence");
  };
  await until(1);
  return { server, proxy, ann, bob, here, told, until };
}

story("a member whose wire is cut and who is back within the grace was never away to the others", async (t) => {
  const { proxy, ann, bob, here, told, until } = await stage(t, "60s");
  const enters = [];
  ann.on("message", ({ direction, data }) => direction === "out" && data.includes('"presence"') && enters.push(data));
  for (let cut = 0; cut < 5; cut += 1) {
    const { session } = ann.hello;
    const gone = inState(ann, "waiting");
    proxy.cut();
    await gone;
    await ann.connected();
    assert.equal(ann.hello.resumed, true);
    assert.notEqual(ann.hello.session, session);
  }
  assert.deepEqual(enters, [], "nothing had changed, so nothing was said");
  // What she does while she is away is told once she is back, and is all that is told.
  proxy.cut();
  await inState(ann, "waiting");
  await here.enter({ mood: "back" });
  await until(2);
  await here.leave();
  await until(3);
  assert.deepEqual(told, ["ann joined", "ann is back", "ann left"]);
  assert.equal((await bob.entity(ROOM).presence.list()).count, 0);
});

story("a member who is away for longer has left, and joins when the session is resumed", async (t) => {
  const { proxy, ann, told, until } = await stage(t, "200ms");
  // Every attempt is cut, until it is enough.
  proxy.cutAt = () => true;
  proxy.cut();
  await until(2);
  proxy.cutAt = () => false;
  await ann.connected();
  await until(3);
  assert.equal(ann.hello.resumed, true);
  assert.deepEqual(told, ["ann joined", "ann left", "ann joined"]);
});

story("a member who closes has left at once, whatever the grace", async (t) => {
  const { ann, told, until } = await stage(t, "60s");
  ann.close();
  await until(2);
  assert.deepEqual(told, ["ann joined", "ann left"]);
});

story("a connection that the SDK gives up is resumed as well", async (t) => {
  const { proxy, ann, told, bob } = await stage(t, "60s");
  const { session } = ann.hello;
  // Nothing comes from the server any more, and asked for a sign of life it gives none.
  proxy.hold(true);
  const lost = inState(ann, "waiting");
  ann.reconnect();
  assert.equal((await lost).error.code, "disconnected");
  await ann.connected();
  assert.equal(ann.hello.resumed, true);
  assert.notEqual(ann.hello.session, session);
  await bob.entity(ROOM).send("post", { text: "and then" });
  assert.deepEqual(told, ["ann joined"]);
});

story("two that present the same session do not fight over it", async (t) => {
  const { server, proxy, ann, told } = await stage(t, "60s");
  const { client, session } = ann.hello;
  // As a copy of her tab would: the same user, client id and session.
  const copy = new WebSocket(server.url, ["greenroom.v1.json"]);
  t.after(() => copy.close());
  await new Promise((resolve) => (copy.onopen = resolve));
  const replaced = inState(ann, "waiting");
  const answer = new Promise((resolve) => (copy.onmessage = ({ data }) => resolve(JSON.parse(data).result)));
  copy.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "connect", params: { token: await server.token("ann"), client, session } }));
  assert.equal((await answer).resumed, true);
  assert.equal((await replaced).error.code, "replaced");
  const asked = next(ann, "message", ({ direction, data }) => direction === "out" && data.includes('"connect"'));
  await ann.connected();
  assert.equal(JSON.parse((await asked).data).params.session, undefined);
  assert.equal(ann.hello.resumed, undefined);
  assert.equal(copy.readyState, 1);
  assert.equal(proxy.accepted, 2);
  // Both are her, and she never left.
  assert.ok(!told.includes("ann left"));
});
