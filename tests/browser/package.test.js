/** The package, packed and installed, in a Node project and in a Vite project with React, against the real server. */
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { Browser } from "./support/browser.js";
import { Project, client } from "./support/project.js";
import { Server } from "./support/server.js";
import { next, sdk } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);

story("the package holds what it needs, and nothing else", async (t) => {
  const { files } = await Project.create(t, []);
  for (const name of ["package.json", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "greenroom.js", "types/greenroom.d.ts", "types/react.d.ts"]) {
    assert.ok(files.includes(name), `${name} is missing`);
  }
  const foreign = files.filter((name) => !/^(src\/|types\/(greenroom|react)\.d\.ts$|(package|README|LICENSE|greenroom|react)[^/]*$)/.test(name));
  assert.deepEqual(foreign, []);
});

story("a Node project installs it and talks to a server", async (t) => {
  const server = await Server.start(t);
  const project = await Project.create(t, ["ws"]);
  await project.write("app.js", `
    import { GreenroomError, connect } from "greenroom";
    import { WebSocket } from "ws";
    const client = connect({ url: process.argv[2], WebSocket });
    const live = client.entity("room:lobby").live({ optimistic: true });
    await live.ready;
    const sent = live.send("post", { text: "from Node" });
    console.log(live.state.messages[0].pending, (await sent).seq);
    const error = await live.send("edit", { seq: 7, body: {} }).catch((error) => error);
    console.log(error instanceof GreenroomError, error.code, error.reason);
    await client.close();
  `);
  assert.deepEqual((await project.node("app.js", server.url)).trim().split("\n"), ["true 1", "true rejected message_not_found"]);
});

story("a Vite project with React builds it; its hooks live and die with their components, in strict mode", async (t) => {
  const project = await Project.create(t, ["react", "react-dom", "scheduler", "vite"]);
  await project.copy(join(client, "examples/react"));
  const vite = pathToFileURL(join(project.root, "node_modules/vite/dist/node/index.js"));
  const { build } = await import(vite);
  // React's development build is the one that has a strict mode.
  await build({ root: project.root, logLevel: "error", mode: "development", define: { "process.env.NODE_ENV": '"development"' }, build: { minify: false } });

  const server = await Server.start(t, "", { args: ["--static", join(project.root, "dist")] });
  const browser = await Browser.start(t);
  const wire = new Wire();
  const ann = await browser.open(server.page, { watch: (page) => wire.watch(page) });
  const { page } = ann;
  const button = (name) => page.getByRole("button", { name, exact: true });
  await page.getByText("1 here").waitFor();

  await t.test("what is mounted twice in strict mode is asked for once", () => {
    const { "subscribe room:lobby": room, ...counted } = wire.count();
    assert.deepEqual(counted, { connect: 1, "subscribe doc:likes": 1, "enter room:lobby": 1 });
    // For the state and with presence: in one go, if both are there when it connects.
    assert.ok(room <= 2, `${room} times`);
  });

  await t.test("one's own ops show, those of others arrive, and what is refused is told", async () => {
    await page.getByTestId("text").fill("hello from React");
    await button("Send").click();
    await page.getByTestId("messages").getByText("hello from React").waitFor();
    const bob = sdk(t, server.url);
    await bob.entity("room:lobby").send("post", { text: "hello from Node" });
    await page.getByTestId("messages").getByText("hello from Node").waitFor();
    for (const _ of [1, 2, 3]) await button("Like").click();
    await page.getByTestId("likes").getByText("3", { exact: true }).waitFor();
    await button("Break").click();
    await page.getByRole("alert").getByText(/^patch: /).waitFor();
    assert.equal((await bob.entity("doc:likes").read()).state.likes, 3);
  });

  await t.test("an unmounted component leaves nothing behind", async () => {
    const bob = sdk(t, server.url).entity("room:lobby");
    const presence = bob.subscribe({ presence: true });
    await presence.ready;
    const before = wire.count();
    for (const _ of [1, 2]) {
      const gone = presence.members.length === 0 ? null : next(presence, "presence", ({ count }) => count === 0);
      await button("Leave").click();
      await gone;
      const back = next(presence, "presence", ({ count }) => count === 1);
      await button("Enter").click();
      await back;
      await page.getByText("1 here").waitFor();
    }
    const after = wire.count();
    // Each time once for the state, and again with presence.
    assert.deepEqual(after, { ...before, "subscribe room:lobby": before["subscribe room:lobby"] + 4, "unsubscribe room:lobby": 2, "enter room:lobby": 3, "leave room:lobby": 2 });
    await page.getByTestId("messages").getByText("hello from Node").waitFor();
  });

  await t.test("offline its own ops show, and are there for everybody later", async () => {
    await server.kill();
    await page.getByTestId("text").fill("written offline");
    await button("Send").click();
    await page.locator("li.pending").getByText("written offline").waitFor();
    await button("Like").click();
    await page.getByTestId("likes").getByText("4", { exact: true }).waitFor();
    await server.start();
    await page.locator("li:not(.pending)").getByText("written offline").waitFor();
    assert.equal(await page.getByTestId("likes").innerText(), "4");
    assert.equal((await sdk(t, server.url).entity("doc:likes").read()).state.likes, 4);
  });
  assert.deepEqual(ann.complaints, []);
});

/** What a page's sockets send, counted by method and entity. */
class Wire {
  #sent = [];

  watch(page) {
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => this.#sent.push(JSON.parse(payload))));
  }

  count() {
    const counts = {};
    const add = (what) => (counts[what] = (counts[what] ?? 0) + 1);
    for (const { method, params } of this.#sent) {
      if (method === "connect") {
        add("connect");
        for (const { entity } of params.subscriptions ?? []) add(`subscribe ${entity}`);
        for (const { entity } of params.presence ?? []) add(`enter ${entity}`);
      } else if (method === "presence") add(`${params.action} ${params.entity}`);
      else if (method.endsWith("subscribe")) add(`${method} ${params.entity}`);
    }
    return counts;
  }
}
