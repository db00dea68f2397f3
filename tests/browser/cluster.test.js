/** The demo page on several nodes, in a real browser. */
import assert from "node:assert/strict";
import test from "node:test";
import { Browser } from "./support/browser.js";
import { Cluster } from "./support/cluster.js";

test("two people on two nodes chat while the node that owns their room is killed", { timeout: 240_000 }, async (t) => {
  const cluster = await Cluster.start(t);
  const browser = await Browser.start(t);
  const [ann, bob] = await Promise.all(cluster.others.map((page) => browser.open(page)));
  await ann.join("Ann");
  await bob.join("Bob");
  await ann.post("Hello from one node");
  await bob.message("Hello from one node").waitFor();
  await bob.post("And from another");
  await ann.message("And from another").waitFor();
  for (const person of [ann, bob]) {
    await person.id("presence").getByText("Ann").waitFor();
    await person.id("presence").getByText("Bob").waitFor();
  }

  process.kill(cluster.owner, "SIGKILL");
  await ann.post("Are you still there?");
  await bob.message("Are you still there?").waitFor();
  await bob.post("I have not noticed anything");
  await ann.message("I have not noticed anything").waitFor();
  for (const person of [ann, bob]) {
    await person.id("presence").getByText("Ann").waitFor();
    await person.id("presence").getByText("Bob").waitFor();
    await person.screenshot(`cluster-${person === ann ? "ann" : "bob"}`);
  }
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});
