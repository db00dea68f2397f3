/** Every snippet in docs/guides, run as a reader would run it, against the real server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { after } from "node:test";
import { Browser } from "./support/browser.js";
import { Desk, firstProgram, snippet, unused } from "./support/guide.js";
import { next, sdk } from "./support/story.js";
import { Server } from "./support/server.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);
// Some of the snippets read files of the directory that they run in.
const home = process.cwd();
after(() => process.chdir(home));

/** A desk with the secret and both ways to sign tokens. */
async function withTokens(t, page = "tokens.md") {
  const desk = await Desk.make(t);
  await desk.put(page, "greenroom.toml");
  await desk.run("sh", "-ec", await snippet("tokens.md", "make a secret"));
  await desk.put("tokens.md", "token.js");
  process.chdir(desk.path);
  const { token } = await desk.import("token.js");
  return { desk, token };
}

story("tutorial: people chat, see each other, and see who is typing", async (t) => {
  const desk = await Desk.make(t);
  await mkdir(join(desk.path, "my-chat"));
  await desk.put("tutorial.md", "my-chat/index.html");
  const first = await desk.put("tutorial.md", "my-chat/chat.js");
  const more = [await snippet("tutorial.md", "my-chat/chat.js, continued: presence"), await snippet("tutorial.md", "my-chat/chat.js, continued: typing")];
  const server = await Server.start(t, "", { directory: desk.path, args: ["--static", "my-chat"] });
  const browser = await Browser.start(t);

  const open = async (name, script) => {
    await writeFile(join(desk.path, "my-chat/chat.js"), script);
    return browser.open(server.page, { watch: (tab) => tab.on("dialog", (dialog) => dialog.accept(name)) });
  };
  const say = async (person, text) => {
    await person.page.fill("#text", text);
    await person.page.press("#text", "Enter");
  };
  const sees = (person, text) => person.page.locator("#messages li", { hasText: text }).waitFor();

  await t.test("step 2: a chat, and a server that is killed", async () => {
    const [ann, bob] = [await open("Ann", first), await open("Bob", first)];
    await say(ann, "Hello Bob");
    await sees(bob, /^Ann: Hello Bob$/);
    await server.kill();
    await ann.page.locator("#state", { hasText: "waiting" }).waitFor();
    await say(ann, "Are you still there?");
    await server.start();
    await sees(bob, /^Ann: Are you still there\?$/);
    assert.deepEqual(await bob.page.locator("#messages li").allInnerTexts(), ["Ann: Hello Bob", "Ann: Are you still there?"]);
    for (const person of [ann, bob]) await person.page.close();
  });

  await t.test("steps 3 and 4: presence and typing", async () => {
    const whole = [first, ...more].join("\n");
    const [ann, bob] = [await open("Ann", whole), await open("Bob", whole)];
    await sees(bob, /^Ann: Are you still there\?$/);
    for (const person of [ann, bob]) await person.page.locator("#people", { hasText: "Ann" }).filter({ hasText: "Bob" }).waitFor();
    await ann.page.locator("#text").pressSequentially("Hm");
    await bob.page.locator("#typing", { hasText: "Ann is typing…" }).waitFor();
    await bob.page.locator("#typing", { hasText: /^$/ }).waitFor({ state: "attached" });
    await ann.page.close();
    await bob.page.locator("#people", { hasText: /^Bob$/ }).waitFor();
    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
  });
});

story("tokens: Node, Python and the command line sign what the server takes", async (t) => {
  const { desk, token } = await withTokens(t);
  await desk.put("tokens.md", "token_for.py");
  const server = await Server.start(t, "", { directory: desk.path });
  const tokens = [
    token("alice"),
    await desk.run("python3", "-c", 'from token_for import token; print(token("alice", {"doc:*": ["read"]}), end="")'),
    (await desk.run("sh", "-ec", await snippet("tokens.md", "a token from the command line"))).trim(),
  ];
  for (const one of tokens) {
    const client = sdk(t, server.url, { token: one });
    await client.connected();
    assert.equal(client.user, "alice");
  }
  const stranger = sdk(t, server.url);
  await assert.rejects(stranger.connected(), { code: "unauthorized" });

  await desk.put("tokens.md", "app.js");
  const app = desk.start(t, { PORT: "0" }, process.execPath, "app.js");
  const [url] = await once(createInterface(app.stdout), "line");
  assert.equal((await fetch(url)).status, 401);
  assert.equal((await fetch(`${url}/other`, { headers: { cookie: "session=cookie-of-alice" } })).status, 404);

  // The page's function, with a `fetch` that has alice's cookie.
  const page = await desk.put("tokens.md", "page.js", (code) => code.replace("/client/greenroom.js", "greenroom").replace("connect({ token", "connect({ ...globalThis.forTheTest, token"));
  assert.match(page, /forTheTest/);
  const { fetch: original } = globalThis;
  let asked = 0;
  globalThis.fetch = (path, options) => {
    if (path !== "/token") return original(path, options);
    asked += 1;
    return original(url, { headers: { cookie: "session=cookie-of-alice" } });
  };
  t.after(() => (globalThis.fetch = original));
  globalThis.forTheTest = { url: server.url, WebSocket: (await desk.import("node_modules/ws/wrapper.mjs")).WebSocket };
  const { client } = await desk.import("page.js");
  t.after(() => client.close());
  await client.connected();
  assert.equal(client.user, "alice");
  assert.equal((await client.entity("room:any").send("post", { text: "hi" })).seq, 1);
  await client.refresh();
  assert.equal(asked, 2);
});

story("private rooms: who has no capability stays outside", async (t) => {
  const { desk, token } = await withTokens(t, "private-rooms.md");
  await desk.put("private-rooms.md", "capabilities.js");
  await desk.put("private-rooms.md", "knock.js");
  const server = await Server.start(t, "", { directory: desk.path });
  const { tokenFor } = await desk.import("capabilities.js");
  const { mayRead } = await desk.import("knock.js");
  const alice = tokenFor({ name: "alice", teams: ["red"], moderates: ["blue"], guestOf: ["green/hall"] });
  for (const [room, may] of [["red/plans", true], ["blue/plans", true], ["green/hall", true], ["green/plans", false], ["red", false]]) {
    assert.equal(await mayRead(server.url, alice, `room:${room}`), may, room);
  }
  assert.equal(await mayRead(server.url, token("bob"), "room:red/plans"), false);
  assert.equal(await mayRead(server.url, token("bob"), "lobby:main"), true);
  const client = sdk(t, server.url, { token: alice });
  await assert.rejects(client.entity("room:green/hall").send("post", { text: "hi" }), { code: "forbidden" });
  const member = sdk(t, server.url, { token: tokenFor({ name: "carol", teams: ["blue"], moderates: [], guestOf: [] }) });
  const { seq } = await member.entity("room:blue/plans").send("post", { text: "rude" });
  await client.entity("room:blue/plans").send("delete", { seq });

  // Carol leaves the team: her page fetches a newer token, and the room is closed to her.
  let teams = ["blue"];
  const page = sdk(t, server.url, { token: () => tokenFor({ name: "carol", teams, moderates: [], guestOf: [] }) });
  const subscription = page.entity("room:blue/plans").subscribe();
  await subscription.ready;
  teams = ["red"];
  const closed = next(subscription, "close");
  await page.refresh();
  assert.equal((await closed).code, "forbidden");
  assert.equal(page.state, "connected");
});

story("unread counts follow the room and the user's other devices", async (t) => {
  const { desk, token } = await withTokens(t, "unread-counts.md");
  await desk.put("unread-counts.md", "unread.js");
  const server = await Server.start(t, "", { directory: desk.path });
  const { followUnread } = await desk.import("unread.js");
  const own = () => token("alice", { "read:alice": ["read", "send"] });
  const bob = sdk(t, server.url, { token: token("bob") });
  const room = bob.entity("room:lobby");
  const seqs = [];
  for (const text of ["one", "two", "three"]) seqs.push((await room.send("post", { text })).seq);

  const device = async () => {
    const client = sdk(t, server.url, { token: own });
    const [counts, waiting] = [new Map(), []];
    const { markRead } = await followUnread(client, ["room:lobby"], (name, count) => {
      counts.set(name, count);
      for (const check of [...waiting]) check();
    });
    const shows = (wanted) =>
      new Promise((resolve) => {
        const check = () => counts.get("room:lobby") === wanted && resolve();
        waiting.push(check);
        check();
      });
    return { client, markRead, shows };
  };
  const [phone, laptop] = [await device(), await device()];
  await Promise.all([phone.shows(3), laptop.shows(3)]);
  await phone.markRead("room:lobby", seqs[1]);
  await Promise.all([phone.shows(1), laptop.shows(1)]);
  await room.send("post", { text: "four" });
  await Promise.all([phone.shows(2), laptop.shows(2)]);
  // One's own messages are read, and neither a reaction nor a deletion adds to the count.
  await laptop.client.entity("room:lobby").send("post", { text: "mine" });
  await room.send("react", { seq: seqs[0], emoji: "👍" });
  await room.send("post", { text: "five" });
  await Promise.all([phone.shows(3), laptop.shows(3)]);
  const later = await device();
  await later.shows(3);
  await assert.rejects(bob.entity("read:alice").read(), { code: "forbidden" });
});

story("optimistic UI: a message shows at once, and once", async (t) => {
  const desk = await Desk.make(t);
  await desk.put("optimistic-ui.md", "timeline.js");
  const server = await Server.start(t, '[kinds.room]\nbehaviour = "room"\nmax_body_bytes = "1KiB"\n');
  const { openTimeline } = await desk.import("timeline.js");
  const client = sdk(t, server.url, { token: await server.token("ann") });
  let [lines, waiting] = [[], []];
  const seen = new Set();
  const timeline = openTimeline(client, client.entity("room:lobby"), (all) => {
    lines = all.map(({ text, status }) => `${text} (${status})`);
    assert.equal(new Set(all.map(({ text }) => text)).size, all.length, `twice: ${lines}`);
    for (const line of lines) seen.add(line);
    waiting = waiting.filter((check) => !check());
  });
  const shows = (...wanted) =>
    new Promise((resolve) => {
      const check = () => JSON.stringify(lines) === JSON.stringify(wanted) && (resolve(), true);
      if (!check()) waiting.push(check);
    });
  await client.connected();
  timeline.post("one");
  await shows("one (sent)");
  assert.ok(seen.has("one (sending)"), "it showed before the answer");
  await server.kill();
  timeline.post("two");
  timeline.post("three");
  await shows("one (sent)", "two (sending)", "three (sending)");
  await server.start();
  await shows("one (sent)", "two (sent)", "three (sent)");
  const long = "x".repeat(2000);
  timeline.post(long);
  await shows("one (sent)", "two (sent)", "three (sent)", `${long} (failed: too_large)`);
});

story("documents: what somebody removed stays removed, and edits can be undone", async (t) => {
  const desk = await Desk.make(t);
  const files = ["greenroom.toml", "plan.js", "race.js", "rename.js", "again.js", "tombstones.js", "undo.js"];
  for (const file of files) await desk.put("documents.md", file);
  const server = await Server.start(t, "", { directory: desk.path });
  const people = [sdk(t, server.url), sdk(t, server.url)];
  const open = (id) => people.map((person) => person.entity(id));
  const tasks = async (entity) => (await entity.read()).state.tasks;
  const refused = (reason) => ({ code: "rejected", reason });

  await t.test("the list: a task that is gone is not ticked", async () => {
    const { openPlan } = await desk.import("plan.js");
    const complaints = [];
    const [ann, bob] = open("doc:list").map((entity) => openPlan(entity, () => {}, (text) => complaints.push(text)));
    t.after(() => [ann, bob].forEach(({ live }) => live.close()));
    await Promise.all([ann.live.ready, bob.live.ready]);
    const id = ann.add("Ship it");
    assert.deepEqual(ann.live.state.tasks[id], { text: "Ship it", done: false }, "before the server has answered");
    await ann.tick(id, true);
    await bob.remove(id);
    await assert.rejects(ann.tick(id, false), refused("patch_failed"));
    assert.match(complaints.join(), /^patch was refused: /);
    assert.deepEqual(await tasks(open("doc:list")[1]), {});
  });

  await t.test("the table: what is missing is made, or the op is refused", async () => {
    const [doc] = open("doc:table");
    await doc.send("merge", { tasks: { here: {} } });
    const patch = (op) => ["patch", (path) => [{ op, path, value: 1 }]];
    const merge = (path) => path.split("/").slice(1).reduceRight((value, name) => ({ [name]: value }), 1);
    const failed = refused("patch_failed");
    const rows = [
      ["merge", merge, undefined, undefined],
      ["set", (path) => ({ path, value: null }), failed, undefined],
      ["increment", (path) => ({ path, by: 1 }), failed, undefined],
      [...patch("add"), failed, undefined],
      [...patch("replace"), failed, failed],
      [...patch("remove"), failed, failed],
      [...patch("test"), refused("test_failed"), refused("test_failed")],
    ];
    for (const [index, [type, body, ...outcomes]] of rows.entries())
      for (const [place, error] of [`/tasks/gone${index}/n`, `/tasks/here/n${index}`].map((path, at) => [path, outcomes[at]])) {
        const sent = doc.send(type, body(place));
        await (error ? assert.rejects(sent, error, place) : sent);
      }
    assert.equal((await tasks(doc)).here.n1, null);
  });

  await t.test("a merge brings half a task back", async () => {
    const { race } = await desk.import("race.js");
    assert.deepEqual(await race(...open("doc:race")), { a1: { done: true } });
  });

  await t.test("a test keeps what somebody else has written", async () => {
    const { rename } = await desk.import("rename.js");
    const [ann, bob] = open("doc:rename");
    await ann.send("merge", { tasks: { a1: { text: "one" } } });
    await rename(bob, "a1", "one", "two");
    await assert.rejects(rename(ann, "a1", "one", "three"), refused("test_failed"));
    assert.deepEqual(await tasks(ann), { a1: { text: "two" } });
  });

  await t.test("with ifSeq, who was slower looks again", async () => {
    const { tidy } = await desk.import("again.js");
    const [ann, bob] = open("doc:tidy");
    assert.equal(await tidy(ann), undefined);
    await ann.send("merge", { tasks: { a1: { done: true }, a2: { done: false } } });
    let reads = 0;
    const slow = {
      read: async () => {
        const seen = await ann.read();
        if (++reads === 1) await bob.send("merge", { tasks: { a1: { done: false }, a2: { done: true } } });
        return seen;
      },
      send: (...op) => ann.send(...op),
    };
    await tidy(slow);
    assert.equal(reads, 2);
    assert.deepEqual(await tasks(bob), { a1: { done: false } });
  });

  await t.test("a tombstone outlives a merge", async () => {
    const { bury, restore, visible } = await desk.import("tombstones.js");
    const [ann, bob] = open("doc:buried");
    await ann.send("merge", { tasks: { a1: { text: "Ship it" } } });
    await bury(bob, "a1");
    await ann.send("merge", { tasks: { a1: { done: true } } });
    assert.deepEqual(visible(await tasks(ann)), []);
    await restore(ann, "a1");
    assert.deepEqual(visible(await tasks(bob)), [["a1", { text: "Ship it", done: true }]]);
  });

  await t.test("undo takes back one's own edit, and nobody else's", async () => {
    const { withUndo } = await desk.import("undo.js");
    const [ann, bob] = open("doc:undo");
    await ann.send("merge", { tasks: { a1: { text: "one" }, a2: { text: "other" } } });
    const live = ann.live({ optimistic: true });
    t.after(() => live.close());
    await live.ready;
    const edits = withUndo(live);
    await edits.replace("/tasks/a1/text", "two");
    await edits.remove("/tasks/a2");
    await assert.rejects(edits.replace("/tasks/a2/text", "x"), refused("patch_failed"));
    await edits.undo();
    assert.deepEqual(await tasks(bob), { a1: { text: "two" }, a2: { text: "other" } });
    await edits.undo();
    assert.deepEqual((await tasks(bob)).a1, { text: "one" });
    await edits.replace("/tasks/a1/text", "three");
    await bob.send("set", { path: "/tasks/a1/text", value: "Bob's" });
    await assert.rejects(edits.undo(), refused("test_failed"));
    await edits.undo();
    assert.deepEqual((await tasks(bob)).a1, { text: "Bob's" });
  });
});

story("backend worker: each question is answered once, over restarts", async (t) => {
  const { desk, token } = await withTokens(t);
  await desk.put("backend-worker.md", "worker.js");
  const server = await Server.start(t, "", { directory: desk.path });
  const ann = sdk(t, server.url, { token: token("ann") });
  const room = ann.entity("room:support");
  const answers = new Map();
  const subscription = room.subscribe();
  const answered = (seq) => (answers.has(seq) ? Promise.resolve() : next(subscription, "event", ({ from, body }) => from === "helper" && body.re === seq));
  subscription.on("event", ({ from, body }) => from === "helper" && answers.set(body.re, (answers.get(body.re) ?? 0) + 1));
  await subscription.ready;

  const ask = async (text) => (await room.send("post", { text })).seq;
  const start = () => desk.start(t, { CHAT_URL: server.url }, process.execPath, "worker.js");
  const questions = [await ask("Where is the door?")];
  await ask("Thank you.");
  let worker = start();
  await answered(questions[0]);
  questions.push(await ask("And the window?"));
  await answered(questions[1]);
  await kill(worker);
  questions.push(await ask("Anybody?"));
  worker = start();
  await answered(questions[2]);
  await kill(worker);
  // It died before it had written down how far it was: what it has answered it does not answer again.
  await writeFile(join(desk.path, "position.json"), "null");
  questions.push(await ask("Once more?"));
  worker = start();
  await answered(questions[3]);
  await kill(worker);
  assert.deepEqual([...answers], questions.map((seq) => [seq, 1]));
});

story("README: the first program says hello", async (t) => {
  const desk = await Desk.make(t);
  const server = await Server.start(t, "", { args: ["--static", desk.path] });
  const browser = await Browser.start(t);
  const html = '<!doctype html><script type="module" src="/first.js"></script>';
  await writeFile(join(desk.path, "index.html"), html);
  await writeFile(join(desk.path, "first.js"), await firstProgram());
  const said = [];
  const person = await browser.open(server.page, {
    watch: (tab) => tab.on("console", (message) => said.push(message.text())),
  });
  while (said.length === 0) await person.page.waitForEvent("console");
  assert.match(said[0], /^anon-\S+ hello$/);
});

// tests/python runs these: test_proxies.py, which says so where a proxy is missing, and test_guides.py.
story("every snippet is run", async () => {
  const elsewhere = /^(reverse-proxy\.md: (greenroom\.toml|nginx\.conf|Caddyfile)|backend-worker\.md: worker\.py)$/;
  assert.deepEqual((await unused()).filter((name) => !elsewhere.test(name)), []);
});

async function kill(child) {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
