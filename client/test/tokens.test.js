/** Tokens that are stale, cached, short-lived or none. */
import assert from "node:assert/strict";
import test from "node:test";
import { connect as connectTo } from "../greenroom.js";
import { inState, next, story } from "./support/story.js";

const warn = (peer, ms = 60_000) => peer.notify("goodbye", { reason: "token_expiring", closes_in_ms: ms });

/** Connected with the first of `tokens`; the last one is returned again and again. */
async function connected(t, tokens, hello = {}) {
  const all = await story(t);
  const asked = [];
  const token = () => {
    asked.push(all.clock.monotonic());
    return tokens.length > 1 ? tokens.shift() : tokens[0];
  };
  const client = all.connect({ token });
  const peer = await all.server.welcome({ now: 1_000_000, ...hello });
  await inState(client, "connected");
  const heard = () => next(client, "message", ({ data }) => data.includes("token_expiring"));
  return { ...all, client, peer, asked, heard };
}

/** The token function is asynchronous to the client, whatever it does. */
const settle = async (client) => {
  client.ping();
  await next(client, "rtt");
};

test("a token function that returns the cached token is asked a few times, and the server is not shown it again", async (t) => {
  const { clock, client, peer, asked, heard } = await connected(t, ["same"]);
  const begin = clock.monotonic();
  for (let second = 0; second < 60; second += 1) {
    const told = heard();
    warn(peer, 60_000 - second * 1_000);
    await told;
    await settle(client);
    clock.advance(1_000);
    await settle(client);
  }
  const times = asked.slice(1).map((at) => at - begin);
  assert.equal(times[0], 0);
  assert.ok(times.length >= 4 && times.length <= 10, `asked at ${times}`);
  for (let k = 1; k < times.length; k += 1) assert.ok(times[k] - times[k - 1] >= 5_000, `asked at ${times}`);
  client.entity("room:x").signal("mark", {});
  await peer.expect("signal");
});

test("a token that comes late is shown when it is there", async (t) => {
  const { clock, client, peer, heard } = await connected(t, ["old", "old", "new"]);
  const told = heard();
  warn(peer, 30_000);
  await told;
  await settle(client);
  clock.advance(10_000);
  const request = await peer.expect("connect");
  assert.deepEqual(request.params, { token: "new" });
  peer.hello(request);
});

test("a token that lives so shortly that the server warns at once is kept for a third of its life", async (t) => {
  const lives = { now: 1_000_000, expires_at: 1_060_000 };
  const { clock, client, peer, asked, heard } = await connected(t, ["t1", "t2", "t3"], lives);
  for (const token of ["t2", "t3"]) {
    const count = asked.length;
    for (let second = 0; second < 20; second += 1) {
      const told = heard();
      warn(peer, 60_000 - second * 1_000);
      await told;
      await settle(client);
      assert.equal(asked.length, count, `asked after ${second} s`);
      clock.advance(1_000);
    }
    const request = await peer.expect("connect");
    assert.equal(request.params.token, token);
    const shown = next(client, "message", ({ direction, data }) => direction === "in" && data.includes('"session"'));
    peer.hello(request, lives);
    await shown;
    await settle(client);
  }
});

test("`refresh` asks for a token now and shows it", async (t) => {
  const { client, peer, asked } = await connected(t, ["one", "two"]);
  const done = client.refresh();
  const again = client.refresh();
  const request = await peer.expect("connect");
  assert.deepEqual(request.params, { token: "two" });
  peer.hello(request, { user: "ann", session: "later" });
  await Promise.all([done, again]);
  assert.equal(client.hello.session, "later");
  await client.refresh();
  assert.equal(asked.length, 3);
});

test("`refresh` rejects when the token function throws, when the server refuses, and when there is nothing to ask", async (t) => {
  const { server, connect } = await story(t);
  const tokens = ["one", new Error("no network"), "two"];
  const client = connect({
    token: () => {
      const next = tokens.shift();
      if (next instanceof Error) throw next;
      return next;
    },
  });
  const peer = await server.welcome();
  await inState(client, "connected");
  await assert.rejects(client.refresh(), (error) => error.code === "unauthorized" && error.cause.message === "no network");
  const refused = assert.rejects(client.refresh(), { code: "forbidden" });
  peer.fail(await peer.expect("connect"), "forbidden");
  await refused;
  assert.equal(client.state, "connected");
  const fixed = connect({ token: "fixed" });
  await server.welcome();
  await inState(fixed, "connected");
  await assert.rejects(fixed.refresh(), { code: "invalid_argument" });
});

test("without a connection `refresh` makes one", async (t) => {
  const { client, server, peer } = await connected(t, ["one", "two"]);
  peer.cut();
  await inState(client, "waiting");
  const done = client.refresh();
  assert.equal((await server.welcome()).connectParams.token, "two");
  await done;
});

test("a refresh that is refused for a rate is made again", async (t) => {
  const { clock, client, peer, heard } = await connected(t, ["one", "two"]);
  const told = heard();
  warn(peer);
  await told;
  const limited = next(client, "message", ({ data }) => data.includes("rate_limited"));
  peer.fail(await peer.expect("connect"), "rate_limited", { reason: "requests", retry_after_ms: 100 });
  await limited;
  await settle(client);
  clock.advance(20_000);
  assert.equal((await peer.expect("connect")).params.token, "two");
});

test("a stale token does not end the client, however often it is refused; another one that is refused does", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const tokens = ["stale", "stale", "stale", "stale", "fresh"];
  const client = connect({ token: () => tokens.shift() });
  const waits = [];
  for (let k = 0; k < 4; k += 1) {
    const peer = await server.accept();
    peer.fail(await peer.expect("connect"), "unauthorized");
    await inState(client, "waiting");
    waits.push(client.nextAttemptAt - clock.now());
    clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1_000, 2_000]);
  const peer = await server.accept();
  const closed = inState(client, "closed");
  peer.fail(await peer.expect("connect"), "unauthorized");
  await closed;
  assert.equal(client.error.code, "unauthorized");
});

test("expired tokens, the same or others, are no reason to give up", async (t) => {
  const { server, clock, connect } = await story(t);
  let k = 0;
  const client = connect({ token: () => `t${(k += 1) >> 1}` });
  for (let round = 0; round < 6; round += 1) {
    const peer = await server.accept();
    peer.fail(await peer.expect("connect"), "token_expired");
    await inState(client, "waiting");
    clock.advance(0);
  }
  await server.welcome();
  await inState(client, "connected");
});

test("a token function that returns an empty text has failed: it is asked again, and the server is not", async (t) => {
  const { server, clock, connect } = await story(t, { random: 0.5 });
  const tokens = ["", "", 7, "good"];
  const client = connect({ token: () => tokens.shift() });
  for (let k = 0; k < 3; k += 1) {
    const error = await next(client, "error");
    assert.equal(error.code, "unauthorized");
    assert.equal(client.state, "waiting");
    clock.advance(client.nextAttemptAt - clock.now());
  }
  assert.equal((await server.welcome()).connectParams.token, "good");
  assert.throws(() => connectTo({ url: server.url, token: "" }), { code: "invalid_argument" });
});
