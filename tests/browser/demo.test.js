/** The demo page, as people use it, in a real browser. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { Browser, DESKTOP, PHONE } from "./support/browser.js";
import { Server } from "./support/server.js";
import { range, sdk } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);
const quiet = (...people) => assert.deepEqual(people.flatMap(({ complaints }) => complaints), []);

story("two people chat and edit; a third who comes later sees all of it", async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [ann, bob] = await Promise.all([browser.open(server.page), browser.open(server.page, { colorScheme: "dark" })]);

  await t.test("they join and see each other", async () => {
    await ann.join("Ann");
    await bob.join("Bob");
    for (const person of [ann, bob]) {
      await person.isConnected();
      await person.id("presence").getByText("Ann").waitFor();
      await person.id("presence").getByText("Bob").waitFor();
    }
  });

  await t.test("typing shows, and what was typed arrives", async () => {
    await ann.id("message-input").pressSequentially("Hello Bob");
    await bob.id("typing").getByText("Ann is typing").waitFor();
    await ann.page.keyboard.press("Enter");
    await bob.message("Hello Bob").waitFor();
    await bob.id("typing").getByText("Ann is typing").waitFor({ state: "hidden" });
    await bob.post("Hello Ann, how are you?");
    await ann.message("how are you?").locator(".author", { hasText: "Bob" }).waitFor();
    await ann.post("A message to be deleted");
    await ann.post("<b>not bold</b> & \"quoted\"");
    await bob.message("<b>not bold</b>").waitFor();
    assert.equal(await bob.message("<b>not bold</b>").locator("b").count(), 0);
  });

  await t.test("reactions, edits and deletions reach the other", async () => {
    await bob.act("Hello Bob", "React with 👍");
    await ann.message("Hello Bob").getByRole("button", { name: "👍, 1", exact: true }).click();
    await bob.message("Hello Bob").getByRole("button", { name: "👍, 2, with yours" }).waitFor();
    await bob.act("Hello Bob", "React with 👍");
    await ann.message("Hello Bob").getByRole("button", { name: "👍, 1, with yours" }).waitFor();

    // The log has more events than the room has messages, and none of them is earlier.
    assert.equal(await bob.page.getByRole("button", { name: "Show earlier messages" }).count(), 0);

    await bob.act("how are you?", "Edit");
    await bob.id("messages").getByRole("textbox").fill("Hello Ann, how was it?");
    await bob.page.keyboard.press("Enter");
    await ann.message("how was it?").locator(".edited").waitFor();
    await ann.message("how are you?").waitFor({ state: "detached" });
    assert.equal(await ann.message("how was it?").getByRole("button", { name: "Edit" }).count(), 0, "only the author may edit");

    await ann.act("to be deleted", "Delete");
    await ann.message("to be deleted").getByRole("button", { name: "Really?" }).click();
    await bob.message("to be deleted").waitFor({ state: "detached" });
    await bob.message("This message was deleted.").waitFor();
  });

  await t.test("both edit the checklist at the same time", async () => {
    const [annAdds, bobAdds] = [["Tea", "Milk"], ["Cake", "Cups"]];
    await Promise.all([
      (async () => { for (const text of annAdds) await ann.add(text); })(),
      (async () => { for (const text of bobAdds) await bob.add(text); })(),
    ]);
    for (const person of [ann, bob]) for (const text of [...annAdds, ...bobAdds]) await person.item(text).waitFor();
    await Promise.all([ann.item("Cake").getByRole("checkbox").check(), bob.item("Tea").getByRole("checkbox").check()]);
    for (const person of [ann, bob]) {
      await person.page.locator("#list-count", { hasText: "2 of 4" }).waitFor();
      assert.ok(await person.item("Cake").getByRole("checkbox").isChecked());
    }
    await ann.item("Milk").getByRole("button", { name: "Remove Milk" }).click();
    await bob.item("Milk").waitFor({ state: "detached" });
    await Promise.all([ann, bob].map(async (person) => { for (let k = 0; k < 5; k += 1) await person.id("like-button").click(); }));
    for (const person of [ann, bob]) await person.id("likes").filter({ hasText: /^10$/ }).waitFor();
    const order = (person) => person.id("checklist-item").locator(".what").allInnerTexts();
    assert.deepEqual(await order(ann), await order(bob));
  });

  await t.test("the panel shows the wire", async () => {
    await ann.id("rtt").filter({ hasText: /^\d+ ms$/ }).waitFor();
    const raw = ann.id("raw-messages");
    for (const text of ['"method":"connect"', '"method":"send"', '"method":"event"', '"method":"ping"']) await raw.getByText(text).first().waitFor();
    await raw.locator("summary").first().click();
    await raw.locator("pre").first().filter({ hasText: "jsonrpc" }).waitFor();
  });

  await t.test("a third person, later and on a phone, sees all of it", async () => {
    const eve = await browser.open(server.page, { viewport: PHONE, phone: true });
    await eve.message("Hello Bob").getByRole("button", { name: "👍, 1" }).waitFor();
    await eve.message("how was it?").locator(".edited").waitFor();
    assert.deepEqual(await eve.texts(), await ann.texts());
    assert.equal((await eve.texts()).length, 4);
    await eve.page.getByRole("button", { name: "Checklist" }).click();
    for (const text of ["Tea", "Cake", "Cups"]) await eve.item(text).waitFor();
    assert.ok(await eve.item("Tea").getByRole("checkbox").isChecked());
    assert.equal(await eve.id("likes").innerText(), "10");
    quiet(eve);
    await eve.page.context().close();
  });

  await Promise.all([ann.screenshot("two-people-light"), bob.screenshot("two-people-dark")]);
  await t.test("who closes the page is gone", async () => {
    await bob.page.context().close();
    await ann.id("presence").getByText("Bob").waitFor({ state: "detached" });
  });
  quiet(ann, bob);
});

story("the server dies and comes back: pages say so, reconnect, and lose nothing", async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [ann, bob] = await Promise.all([browser.open(server.page), browser.open(server.page, { viewport: PHONE, phone: true, colorScheme: "dark" })]);
  await ann.join("Ann");
  await bob.join("Bob");
  await ann.post("before");
  await bob.message("before").waitFor();

  await server.kill();
  for (const person of [ann, bob]) {
    await person.page.getByText("The connection is lost.").waitFor();
    await person.id("connection-state").filter({ hasText: /^(offline|connecting)$/ }).waitFor();
  }
  // What is written meanwhile waits, and is seen to wait.
  await ann.post("meanwhile 1");
  await ann.post("meanwhile 2");
  await bob.post("meanwhile 3");
  await ann.page.locator("#unsent").getByText("meanwhile 2").waitFor();
  await ann.page.getByText("2 changes wait to be sent").waitFor();
  assert.equal(await ann.message("meanwhile").count(), 0);
  await Promise.all([ann.screenshot("disconnected-desktop-light"), bob.screenshot("disconnected-phone-dark")]);

  // Trying by hand while it is still gone changes nothing.
  await ann.page.getByRole("button", { name: "Try now" }).click();
  await ann.page.getByText("2 changes wait to be sent").waitFor();

  await server.start();
  for (const person of [ann, bob]) {
    await person.isConnected();
    await person.page.getByText("The connection is lost.").waitFor({ state: "hidden" });
    for (const k of [1, 2, 3]) await person.message(`meanwhile ${k}`).waitFor();
  }
  await ann.post("after");
  await bob.message("after").waitFor();
  const texts = await ann.texts();
  assert.deepEqual(await bob.texts(), texts);
  assert.deepEqual([...texts].sort(), ["after", "before", "meanwhile 1", "meanwhile 2", "meanwhile 3"]);
  assert.ok(texts.indexOf("meanwhile 1") < texts.indexOf("meanwhile 2"));
  await ann.page.locator("#unsent li").waitFor({ state: "detached" });
  // Everybody is here again, once.
  for (const name of ["Ann", "Bob"]) await ann.id("presence").getByText(name, { exact: true }).waitFor();
  assert.equal(await ann.id("presence").getByRole("listitem").count(), 2);
  quiet(ann, bob);
});

story("a reload keeps the name and the conversation", async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const ann = await browser.open(server.page);
  await ann.join("Ann");
  await ann.post("one");
  await ann.message("one").waitFor();
  await ann.page.reload();
  await ann.id("message-input").waitFor();
  await ann.message("one").waitFor();
  await ann.post("two");
  await ann.message("two").waitFor();
  assert.deepEqual(await ann.texts(), ["one", "two"]);
  await ann.id("presence").getByText("Ann").waitFor();
  assert.equal(await ann.id("presence").getByRole("listitem").count(), 1);
  quiet(ann);
});

story("older messages come when one scrolls up, and the reader keeps the place", async (t) => {
  const server = await Server.start(t, '[kinds.room]\nbehaviour = "room"\nmessages = 30\n[kinds.doc]\nbehaviour = "document"\n');
  const browser = await Browser.start(t);
  const room = sdk(t, server.url).entity("room:lobby");
  for (const k of range(60)) await room.send("post", { text: `line ${k}.`, name: "Ann" });
  const late = await browser.open(server.page, { viewport: PHONE, phone: true });
  await late.message("line 60.").waitFor();
  await late.page.getByRole("button", { name: "Show earlier messages" }).waitFor({ state: "attached" });
  await late.page.locator("#scroll").evaluate((scroll) => scroll.scrollTo(0, 0));
  await late.message("line 1.").waitFor({ state: "attached" });
  assert.deepEqual(await late.texts(), range(60).map((k) => `line ${k}.`));
  await late.page.locator("#older").waitFor({ state: "hidden" });
  quiet(late);
});

story("what is refused is taken back, and told", async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const ann = await browser.open(server.page);
  await ann.join("Ann");
  await ann.add("Tea");
  await ann.add("Milk");
  await ann.item("Milk").waitFor();
  const list = sdk(t, server.url).entity("doc:checklist");
  await server.kill();
  await ann.page.getByText("The connection is lost.").waitFor();
  // The click shows at once, though nobody can confirm it.
  await ann.item("Tea").getByRole("checkbox").check();
  await ann.page.locator("#list-count", { hasText: "1 of 2" }).waitFor();
  await ann.item("Milk").getByRole("checkbox").check();
  await ann.page.locator("#list-count", { hasText: "2 of 2" }).waitFor();
  // Somebody else is quicker, and removes one of them.
  await ann.page.context().setOffline(true);
  await server.start();
  const { state } = await list.read();
  const [tea] = Object.entries(state.items).find(([, { text }]) => text === "Tea");
  await list.send("patch", [{ op: "remove", path: `/items/${tea}` }]);
  await ann.page.context().setOffline(false);
  await ann.page.getByText("Somebody else removed that item meanwhile.").waitFor();
  await ann.item("Tea").waitFor({ state: "detached" });
  await ann.page.locator("#list-count", { hasText: "1 of 1" }).waitFor();
});

story("the page leads to a first program that works, and to all guides", async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const ann = await browser.open(server.page);
  await ann.page.locator(".guide a").click();
  const program = await ann.id("program").innerText();
  const links = await ann.page.locator('a[href^="/guides/"]').evaluateAll((found) => found.map((link) => link.getAttribute("href")));
  const guides = new URL("../../docs/guides/", import.meta.url);
  assert.deepEqual(links.map((link) => link.slice("/guides/".length)).sort(), readdirSync(guides).sort());
  for (const link of links) {
    const answer = await fetch(new URL(link, server.page));
    assert.equal(await answer.text(), readFileSync(new URL(`../../docs${link}`, import.meta.url), "utf8"));
  }
  quiet(ann);

  const directory = await mkdtemp(join(tmpdir(), "greenroom-page-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, "index.html"), program);
  const own = await Server.start(t, "", { args: ["--static", directory] });
  const bob = await browser.open(own.page);
  await bob.page.getByText(/^anon-\S+: hello$/).waitFor();
  quiet(bob);
});

for (const [name, options] of Object.entries({
  "desktop-light": { viewport: DESKTOP },
  "desktop-dark": { viewport: DESKTOP, colorScheme: "dark" },
  "phone-light": { viewport: PHONE, phone: true },
  "phone-dark": { viewport: PHONE, phone: true, colorScheme: "dark" },
})) {
  story(`the page fits: ${name}`, async (t) => {
    const server = await Server.start(t);
    const browser = await Browser.start(t);
    const [ann, bob] = [await browser.open(server.page, options), await browser.open(server.page)];
    await ann.isConnected();
    await ann.fits();
    await ann.screenshot(`first-visit-${name}`);
    await ann.join("Ann");
    await bob.join("Robert the very long-named of Somewhere");
    await ann.post("Good morning");
    await bob.post("Averylongwordwithoutanyplacetobreak".repeat(8));
    await bob.post("Two lines\nare two lines, https://example.org/a/long/address/that/goes/on/and/on/and/on?with=query");
    await bob.add("Somethingverylongthathasnoplacetobreakanywhereatallinit".repeat(2));
    await bob.add("Bread");
    await bob.item("Bread").getByRole("checkbox").check();
    await ann.message("Two lines").waitFor();
    await bob.id("message-input").pressSequentially("…");
    await ann.id("typing").getByText("is typing").waitFor();
    await ann.fits();
    await ann.screenshot(`chat-${name}`);
    if (options.phone) {
      for (const view of ["Checklist", "Wire"]) {
        await ann.page.getByRole("button", { name: view }).click();
        await ann.fits();
        await ann.screenshot(`${view.toLowerCase()}-${name}`);
      }
    }
    const background = await ann.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red] = /\d+/.exec(background);
    assert.equal(Number(red) < 128, options.colorScheme === "dark", `the background is ${background}`);
    quiet(ann, bob);
  });
}
