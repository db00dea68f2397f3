/** Live states in Node against the real server: whatever happens, they are what the server says. */
import assert from "node:assert/strict";
import test from "node:test";
import { Dice } from "./support/dice.js";
import { documentOp, roomOp } from "./support/ops.js";
import { Proxy } from "./support/proxy.js";
import { Server } from "./support/server.js";
import { inState, next, range, sdk } from "./support/story.js";

const story = (name, run) => test(name, { timeout: 120_000 }, run);

const ROOMS = `
[kinds.room]
behaviour = "room"
messages = 12
anonymous_permissions = ["read", "send", "moderate"]
[kinds.narrow]
behaviour = "room"
max_state_bytes = "1KiB"
anonymous_permissions = ["read", "send", "moderate"]
`;

const RICH = { a: { b: 1, list: [1, { a: 2 }, [3]] }, b: [[], {}, "x"], c: 1, list: [0, 1, 2, { c: null }], "a/b~\"é": { a: 0 } };

/** The live state, once it has come to `seq`. */
async function at(live, seq) {
  while ((live.position?.seq ?? 0) < seq) await next(live, "change", () => true);
  return live.state;
}

/** The server's form of a room's messages. */
const plain = ({ messages }) => messages.map(({ key: _, ...message }) => message);

/** What a client that came later may not know: when a message was edited that is deleted by now. */
const forgetful = (messages) => messages.map(({ edited_at, ...message }) => (message.deleted ? message : { ...message, ...(edited_at && { edited_at }) }));

/** Why an op was refused, which is all that may go wrong with it. */
function refused(error) {
  assert.ok(["rejected", "too_large"].includes(error.code), `${error.code}: ${error.message}`);
  return error.reason ?? error.code;
}

/** Refusals that depend on the kind's settings, and on how a number was written. */
const LIMITS = ["too_large", "too_deep", "not_a_number"];

story("a live document is what the server reads, after every op of a long random log", async (t) => {
  const dice = new Dice(Dice.seed(t));
  const server = await Server.start(t);
  const [writer, reader] = [sdk(t, server.url), sdk(t, server.url)];
  for (const round of range(4)) {
    const [mine, theirs] = [writer, reader].map((client) => client.entity(`doc:${round}`));
    const lives = [mine.live({ optimistic: true }), theirs.live(), theirs.live({ optimistic: true })];
    await Promise.all(lives.map(({ ready }) => ready));
    let accepted = 0;
    for (const k of range(200)) {
      // Once there is little left, a new beginning.
      const poor = JSON.stringify(lives[0].state).length < 40;
      const { type, body } = poor ? { type: "set", body: { path: "", value: RICH } } : documentOp(dice);
      const before = JSON.stringify(lives[0].state);
      const sent = mine.send(type, body);
      const predicted = JSON.stringify(lives[0].state);
      const result = await sent.catch(refused);
      const { seq, state } = await theirs.read();
      // What was shown at once is what the server decided; its limits alone the client does not know.
      if (result?.seq) assert.equal(predicted, JSON.stringify(state), `op ${k} of ${round}: ${type} ${JSON.stringify(body)} on ${before}`);
      else if (!LIMITS.includes(result)) assert.equal(predicted, before, `op ${k} of ${round} is ${result}: ${type} ${JSON.stringify(body)}`);
      accepted += result?.seq ? 1 : 0;
      for (const live of lives) {
        // The text as well: members are in the server's order.
        assert.equal(JSON.stringify(await at(live, seq)), JSON.stringify(state), `op ${k} of ${round}: ${type} ${JSON.stringify(body)}`);
        assert.deepEqual(live.state, state);
      }
    }
    assert.ok(accepted > 30, `${accepted} ops were accepted`);
    for (const live of lives) live.close();
  }
});

story("a live room is what the server reads, after every op of a long random log", async (t) => {
  const dice = new Dice(Dice.seed(t));
  const server = await Server.start(t, ROOMS);
  const [writer, reader] = [sdk(t, server.url), sdk(t, server.url)];
  for (const id of ["room:a", "room:b", "narrow:a"]) {
    const room = writer.entity(id);
    const open = (options) => reader.entity(id).live({ behaviour: "room", limit: 12, ...options });
    const lives = [open(), open({ optimistic: true }), room.live({ behaviour: "room", limit: 12, optimistic: true })];
    await Promise.all(lives.map(({ ready }) => ready));
    let [seq, accepted] = [0, 0];
    for (const k of range(200)) {
      const { type, body } = roomOp(dice, seq);
      const result = await room.send(type, body).catch(refused);
      accepted += result?.seq ? 1 : 0;
      const read = await reader.entity(id).read();
      ({ seq } = read);
      const { messages } = read.state;
      for (const live of lives) {
        const shown = plain(await at(live, seq));
        // By its bytes the server may keep fewer than the page has.
        assert.ok(id.startsWith("narrow") || shown.length === messages.length, `op ${k}: ${shown.length} messages`);
        assert.deepEqual(shown.slice(shown.length - messages.length), messages, `op ${k} of ${id}: ${type} ${JSON.stringify(body)}`);
      }
    }
    assert.ok(accepted > 30, `${accepted} ops were accepted`);
    for (const live of lives) live.close();
  }
});

story("several write at once over a wire that breaks: optimistic states come to what the server reads", async (t) => {
  const dice = new Dice(Dice.seed(t));
  const server = await Server.start(t, '[kinds.doc]\nbehaviour = "document"\n[kinds.room]\nbehaviour = "room"\nmessages = 60\n');
  const proxy = await Proxy.start(t, server.url);
  // Within some packets the wire is cut, in both directions.
  proxy.cutAt = () => dice.below(25) === 0;
  const clients = range(3).map(() => sdk(t, proxy.url, { pipeline: 4 }));
  const [docs, rooms] = ["doc:x", "room:x"].map((id) => clients.map((client) => client.entity(id)));
  const lives = [...docs, ...rooms].map((entity) => entity.live({ optimistic: true, limit: 60 }));
  const sent = [];
  for (const k of range(120)) {
    const [doc, room] = [dice.of(docs), dice.of(rooms)];
    for (const [entity, op] of [[doc, documentOp(dice)], [room, roomOp(dice, k)]]) sent.push(entity.send(op.type, op.body).catch(refused));
    await clients[dice.below(3)].connected();
  }
  await Promise.all(sent);
  proxy.cutAt = () => false;
  const [doc, room] = [await docs[0].read(), await rooms[0].read()];
  for (const live of lives.slice(0, 3)) assert.deepEqual(await at(live, doc.seq), doc.state);
  for (const live of lives.slice(3)) assert.deepEqual(forgetful(plain(await at(live, room.seq))), forgetful(room.state.messages));
  for (const live of lives) assert.deepEqual(live.pending, []);
});

story("earlier messages come page by page, with all that was done to them", async (t) => {
  const dice = new Dice(Dice.seed(t));
  const server = await Server.start(t, ROOMS);
  const client = sdk(t, server.url);
  // One live state has seen everything; the other comes in the middle, and loads the past while more happens.
  const whole = client.entity("room:x").live({ limit: 10_000 });
  await whole.ready;
  const room = client.entity("room:x");
  let seq = 0;
  const some = async (count) => {
    for (const _ of range(count)) {
      const { type, body } = roomOp(dice, seq);
      await room.send(type, body).then((result) => (seq = result.seq), refused);
    }
  };
  await some(500);
  const late = room.live({ limit: 10 });
  await late.ready;
  assert.equal(late.state.messages.length, 10);
  assert.equal(late.state.hasEarlier, true);
  const compare = async () => {
    await Promise.all([at(late, seq), at(whole, seq)]);
    const [shown, all] = [late, whole].map(({ state }) => forgetful(plain(state)));
    assert.deepEqual(shown, all.slice(all.length - shown.length));
  };
  for (const _ of range(6)) {
    await Promise.all([late.loadEarlier(15), some(10)]);
    await compare();
  }
  while (late.state.hasEarlier) {
    const loaded = await late.loadEarlier(30);
    assert.ok(loaded >= 30 || !late.state.hasEarlier, `${loaded} were loaded`);
    await compare();
  }
  assert.equal(late.state.messages.length, whole.state.messages.length);
  assert.equal(await late.loadEarlier(), 0);
  assert.equal(whole.state.hasEarlier, false);
});

story("what is done offline shows at once, is rebased on what others did, and what is refused is taken back", async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server.url);
  const [ann, bob] = [sdk(t, proxy.url), sdk(t, server.url)];
  const [mine, theirs] = ["doc:x", "room:x"].map((id) => ann.entity(id).live({ optimistic: true }));
  await theirs.send("post", { text: "one" });
  await mine.send("merge", { items: { a: { done: false } }, likes: 1 });
  await Promise.all([at(mine, 1), at(theirs, 1)]);

  proxy.cutAt = () => true;
  proxy.cut();
  await inState(ann, "waiting");
  const rejections = [];
  mine.on("rejected", (rejection) => rejections.push(rejection));
  void mine.send("increment", { path: "/likes", by: 1 });
  void mine.send("patch", [{ op: "replace", path: "/items/a/done", value: true }]);
  void theirs.send("post", { text: "offline" });
  void theirs.send("react", { seq: 1, emoji: "👍" });
  assert.deepEqual(mine.state, { items: { a: { done: true } }, likes: 2 });
  const [one, offline] = theirs.state.messages;
  assert.deepEqual(one.reactions, { "👍": [ann.user] });
  assert.deepEqual([one.pending, offline.pending, offline.seq, offline.body.text], [true, true, null, "offline"]);
  assert.equal(mine.status, "stale");

  await bob.entity("doc:x").send("patch", [{ op: "remove", path: "/items/a" }]);
  await bob.entity("doc:x").send("increment", { path: "/likes", by: 10 });
  await bob.entity("room:x").send("post", { text: "meanwhile" });
  proxy.cutAt = () => false;
  const { error, op } = await next(mine, "rejected");
  assert.deepEqual([error.reason, op.type], ["patch_failed", "patch"]);
  assert.deepEqual(mine.state, { items: {}, likes: 12 });
  while (theirs.pending.length > 0) await next(theirs, "change");
  assert.deepEqual(theirs.state.messages.map(({ body, key }) => [body.text, key === offline.key]), [["one", false], ["meanwhile", false], ["offline", true]]);
  assert.ok(theirs.state.messages.every(({ pending, seq }) => pending === undefined && seq !== null));
  assert.equal(rejections.length, 1);
});
