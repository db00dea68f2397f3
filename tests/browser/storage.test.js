/** Ops that outlive their tab and their browser: the SDK in Chromium, with IndexedDB and Web Locks as they are. */
import assert from "node:assert/strict";
import test from "node:test";
import { Person } from "./support/browser.js";
import { Profile } from "./support/profile.js";
import { Proxy } from "./support/proxy.js";
import { Server } from "./support/server.js";
import { next, range, sdk, wholeHistory } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);

/** A server, a wire to it that can be cut, a browser, and somebody who sees what really happens. */
async function stage(t) {
  const server = await Server.start(t);
  const [proxy, profile] = await Promise.all([Proxy.start(t, server.url), Profile.start(t)]);
  const watcher = sdk(t, server.url);
  const seen = [];
  const subscription = watcher.entity("room:lobby").subscribe();
  subscription.on("event", (event) => seen.push(event));
  await subscription.ready;
  const until = async (count) => {
    while (seen.length < count) await next(subscription, "event");
  };
  return { proxy, profile, seen, until, log: () => wholeHistory(watcher.entity("room:lobby")) };
}

/** A tab of the server's origin that shows nothing, with a client in it. */
async function tab({ proxy, profile }, options = {}) {
  const page = await profile.tab(new URL("/client/greenroom.js", proxy.url.replace("ws:", "http:")).href);
  await page.evaluate(
    async ({ url, options }) => {
      const { connect, indexedDbStorage } = await import("/client/greenroom.js");
      const client = (window.client = connect({ url, storage: indexedDbStorage(), backoff: { baseMs: 20, capMs: 200 }, ...options }));
      window.errors = [];
      window.answers = [];
      client.on("error", ({ code, reason }) => window.errors.push([code, reason]));
      client.on("message", ({ direction, data }) => {
        const { result } = JSON.parse(data);
        if (direction === "in" && result?.at) window.answers.push(result);
      });
      window.send = (k) => void client.entity("room:lobby").send("post", { k }).catch(() => {});
      window.pendingIs = (fits) =>
        new Promise((resolve) => {
          const look = () => fits(client.pending) && resolve(client.pending);
          client.on("pending", look);
          look();
        });
    },
    { url: "/ws", options },
  );
  return page;
}

const connected = (page) => page.evaluate(() => window.client.connected().then(() => window.client.hello.client));
const allKept = (page, count) => page.evaluate((count) => window.pendingIs((ops) => ops.length === count && ops.every(({ kept }) => kept)), count);
const allAnswered = (page) => page.evaluate(() => window.pendingIs((ops) => ops.length === 0).then(() => [window.answers, window.errors]));

const ends = {
  "closed": (page) => page.close(),
  "crashed": async (page) => {
    const crashed = new Promise((resolve) => page.once("crash", resolve));
    // The navigation never ends; the crash is what it is for.
    page.goto("chrome://crash").catch(() => {});
    await crashed;
  },
};
for (const [how, end] of Object.entries(ends)) {
  story(`a tab that is ${how} between keeping an op and its answer: the next one sends it again, once`, async (t) => {
    const all = await stage(t);
    const first = await tab(all);
    const client = await connected(first);
    all.proxy.hold(true);
    await first.evaluate(() => [1, 2, 3].forEach(window.send));
    // The first op is on the server's disk, and nothing of that has come back; the others have not
    // left the tab.
    await all.until(1);
    const pending = await allKept(first, 3);
    assert.deepEqual(pending.map(({ body, state, inFlight }) => [body.k, state, inFlight]), [[1, "sent", true], [2, "queued", false], [3, "queued", false]]);
    await end(first);
    // Its page may be gone before its socket is.
    await all.proxy.left();
    all.proxy.hold(false);

    const second = await tab(all);
    assert.equal(await connected(second), client);
    await second.evaluate(() => window.send(4));
    const [answers, errors] = await allAnswered(second);
    assert.deepEqual(answers.map(({ seq, duplicate }) => [seq, duplicate]), [[1, true], [2, undefined], [3, undefined], [4, undefined]]);
    assert.deepEqual(errors, []);
    assert.deepEqual((await all.log()).map(({ body }) => body.k), range(4));
  });
}

story("the browser is killed amid ops: those that were kept happen once, in order", async (t) => {
  const all = await stage(t);
  const count = 300;
  const first = await tab(all, { pipeline: 16 });
  await connected(first);
  // After so much the wire lets nothing through any more, in whatever state the ops are then.
  const stuck = new Promise((resolve) => {
    let passed = 0;
    all.proxy.cutAt = () => ++passed > 40 && (resolve(), true);
  });
  await first.evaluate((count) => {
    for (let k = 1; k <= count; k += 1) window.send(k);
  }, count);
  await first.evaluate(() => window.pendingIs((ops) => ops.every(({ kept }) => kept)));
  await stuck;
  await all.profile.kill();
  const before = all.seen.length;
  assert.ok(before > 0 && before < count, `${before} ops had arrived before the end`);

  all.proxy.cutAt = () => false;
  await all.profile.start();
  const second = await tab(all);
  const [, errors] = await allAnswered(second);
  assert.deepEqual(errors, []);
  await all.until(count);
  assert.deepEqual((await all.log()).map(({ body }) => body.k), range(count));
  assert.deepEqual(all.seen.map(({ seq }) => seq), range(count));
});

story("two tabs are two clients; what one leaves behind the other sends, as the one that left it", async (t) => {
  const all = await stage(t);
  const [first, second] = [await tab(all), await tab(all)];
  const clients = [await connected(first), await connected(second)];
  assert.notEqual(clients[0], clients[1]);
  await Promise.all([first, second].map((page, k) => page.evaluate((k) => window.send(k), k + 1)));
  await all.until(2);
  await Promise.all([first, second].map(allAnswered));

  all.proxy.hold(true);
  await first.evaluate(() => [3, 4].forEach(window.send));
  await all.until(3);
  await allKept(first, 2);
  await first.close();
  // The other tab looks when it connects, and each half minute.
  all.proxy.cut();
  await all.until(4);
  const [answers, errors] = await allAnswered(second);
  assert.deepEqual([answers.length, errors], [1, []], "what it adopted went over a connection of its own");
  const log = await all.log();
  assert.deepEqual(log.map(({ body }) => body.k).slice(2), [3, 4]);
  const users = Object.fromEntries(log.map(({ body, from }) => [body.k, from]));
  assert.ok(users[3] === users[1] && users[4] === users[1] && users[2] !== users[1]);
  // A third tab may have the client id that is free now.
  const third = await tab(all);
  assert.ok((await connected(third)) !== clients[1]);
});

story("what was written offline on the page, and its tab closed, is there at the next visit, and goes out", async (t) => {
  const all = await stage(t);
  const url = all.proxy.url.replace("ws:", "http:").replace(/ws$/, "");
  const visit = async () => new Person(await all.profile.tab(url), [], all.profile.shots);
  const first = await visit();
  await first.join("Ann");
  await first.post("before");
  await first.message("before").waitFor();
  // Pages still load, but no socket opens.
  all.proxy.cutAt = (way, chunk) => way === "up" && (chunk.includes("websocket") || !chunk.includes("HTTP"));
  all.proxy.cut();
  await first.page.getByText("The connection is lost.").waitFor();
  for (const k of [1, 2]) await first.post(`meanwhile ${k}`);
  await first.page.getByText("2 changes wait to be sent").waitFor();
  const kept = () =>
    new Promise((resolve) => {
      indexedDB.open("greenroom").onsuccess = ({ target: { result: db } }) => {
        db.transaction("ops").objectStore("ops").count().onsuccess = ({ target: { result } }) => (db.close(), resolve(result));
      };
    });
  while ((await first.page.evaluate(kept)) < 2);
  await first.page.close();

  const second = await visit();
  const rows = second.page.locator("#unsent li");
  await rows.getByText("meanwhile 2").waitFor();
  assert.equal(await rows.getByText("from your last visit").count(), 2);
  await second.screenshot("left-by-the-last-visit");
  all.proxy.cutAt = () => false;
  // As a browser says it when the network is back; the page then does not wait for its next
  // attempt.
  await second.page.evaluate(() => window.dispatchEvent(new Event("online")));
  await second.isConnected();
  for (const k of [1, 2]) await second.message(`meanwhile ${k}`).waitFor();
  await rows.first().waitFor({ state: "detached" });
  assert.deepEqual(await second.texts(), ["before", "meanwhile 1", "meanwhile 2"]);
  assert.deepEqual((await all.log()).map(({ body }) => body.text), ["before", "meanwhile 1", "meanwhile 2"]);
  await second.screenshot("after-the-last-visit");
});
