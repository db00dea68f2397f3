import assert from "node:assert/strict";
import test from "node:test";
import { DocumentCore, RoomCore } from "../src/live/cores.js";
import { changeDocument, documentFrom } from "../src/live/document.js";

const post = (seq, text) => ({ seq, at: seq, from: "ann", type: "post", body: { text } });
const change = (seq, type, body, from = "ann") => ({ seq, at: seq, from, type, body });
const gone = (seq, type) => ({ seq, at: seq, from: "ann", type, body: null, deleted: true });
const texts = (core) => core.confirmed.messages.map(({ seq, body, deleted }) => [seq, deleted ? "deleted" : body.text]);
const get = (core, seq) => core.confirmed.messages.find((message) => message.seq === seq);

function room(messages, limit = 100) {
  const core = new RoomCore(limit);
  core.replace({ messages });
  return core;
}

/** Reads the log backwards in pages of `size`, from its end. */
function walk(core, events, size) {
  let end = events.length;
  while (core.confirmed.hasEarlier) {
    const earlier = core.walk(events.length);
    const page = events.slice(Math.max(0, end - size), end);
    core.prepend(earlier, { epoch: "e", events: page, more: end - size > 0 });
    end -= size;
  }
  core.endWalk();
}

test("events post, edit, delete and react", () => {
  const core = room([{ seq: 1, at: 1, from: "ann", body: { text: "one" } }]);
  for (const event of [
    post(2, "two"),
    change(3, "edit", { seq: 1, body: { text: "one!" } }),
    change(4, "react", { seq: 1, emoji: "👍" }, "bob"),
    change(5, "react", { seq: 1, emoji: "👍" }, "eve"),
    change(6, "react", { seq: 1, emoji: "👍", remove: true }, "bob"),
    change(7, "delete", { seq: 2 }),
  ]) core.apply(event);
  assert.deepEqual(texts(core), [[1, "one!"], [2, "deleted"]]);
  assert.deepEqual(get(core, 1).reactions, { "👍": ["eve"] });
  core.apply(change(8, "react", { seq: 1, emoji: "👍", remove: true }, "eve"));
  assert.equal(get(core, 1).reactions, undefined);
});

test("history read backwards gives what reading forwards would have given", () => {
  const events = [
    post(1, "a"),
    post(2, "b"),
    change(3, "edit", { seq: 1, body: { text: "a2" } }),
    post(4, "c"),
    change(5, "react", { seq: 2, emoji: "🎉" }, "bob"),
    change(6, "edit", { seq: 1, body: { text: "a3" } }),
    change(7, "edit", { seq: 4, body: { text: "c2" } }),
    change(8, "delete", { seq: 2 }),
    post(9, "d"),
  ];
  for (const size of [1, 2, 3, 4, 9]) {
    const core = room([{ seq: 4, at: 4, from: "ann", body: { text: "c2" } }, { seq: 9, at: 9, from: "ann", body: { text: "d" } }]);
    walk(core, events, size);
    assert.deepEqual(texts(core), [[1, "a3"], [2, "deleted"], [4, "c2"], [9, "d"]], `pages of ${size}`);
  }
});

test("tombstones are deleted messages, wherever they come from", () => {
  const events = [post(1, "a"), gone(2, "post"), gone(3, "edit"), change(4, "react", { seq: 2, emoji: "🎉" }, "bob"), change(5, "delete", { seq: 2 }), post(6, "c")];
  const live = room([]);
  for (const event of [...events, change(7, "purge", { seq: 1 }), gone(8, "edit")]) live.apply(event);
  assert.deepEqual(texts(live), [[1, "deleted"], [2, "deleted"], [6, "c"]]);
  for (const size of [1, 2, 3, 6]) {
    const core = room([{ seq: 6, at: 6, from: "ann", body: { text: "c" } }]);
    walk(core, events, size);
    assert.deepEqual(texts(core), [[1, "a"], [2, "deleted"], [6, "c"]], `pages of ${size}`);
    assert.equal(get(core, 2).reactions, undefined);
  }
});

test("a room holds as many messages as it may, and knows whether there are earlier ones", () => {
  const core = room([{ seq: 1, at: 1, from: "ann", body: {} }], 3);
  assert.equal(core.confirmed.hasEarlier, false);
  core.apply(change(2, "react", { seq: 1, emoji: "👍" }, "bob"));
  core.apply(post(3, "b"));
  core.apply(post(4, "c"));
  assert.equal(core.confirmed.hasEarlier, false);
  core.apply(post(5, "d"));
  assert.deepEqual(texts(core).map(([seq]) => seq), [3, 4, 5]);
  assert.equal(core.confirmed.hasEarlier, true);
  // What was loaded stays, and is what may be held from now on.
  walk(core, [post(1, "a"), change(2, "react", { seq: 1, emoji: "👍" }, "bob"), post(3, "b"), post(4, "c"), post(5, "d")], 2);
  core.apply(post(6, "e"));
  assert.deepEqual(texts(core).map(([seq]) => seq), [3, 4, 5, 6]);
  assert.equal(core.confirmed.hasEarlier, true);
});

test("a log that was trimmed at its beginning has no earlier messages", () => {
  const core = room([{ seq: 9, at: 9, from: "ann", body: {} }]);
  assert.equal(core.confirmed.hasEarlier, true);
  core.prepend(core.walk(9), { epoch: "e", events: [{ ...post(9), body: {} }], more: false });
  assert.equal(core.confirmed.hasEarlier, false);
});

test("anything may be an emoji, also what every object has", () => {
  for (const emoji of ["constructor", "__proto__", "toString", "hasOwnProperty", "👍"]) {
    const core = room(JSON.parse('[{"seq": 1, "at": 1, "from": "ann", "body": {"text": "one"}, "reactions": {"❤": ["eve"]}}]'));
    core.apply(change(2, "react", { seq: 1, emoji }, "bob"));
    core.apply(change(3, "react", { seq: 1, emoji }, "eve"));
    assert.deepEqual(Object.entries(get(core, 1).reactions), [["❤", ["eve"]], [emoji, ["bob", "eve"]]], emoji);
    core.apply(change(4, "react", { seq: 1, emoji, remove: true }, "bob"));
    core.apply(change(5, "react", { seq: 1, emoji, remove: true }, "eve"));
    assert.deepEqual(Object.entries(get(core, 1).reactions), [["❤", ["eve"]]], emoji);
    assert.equal({}.bob, undefined);
  }
});

test("document ops apply as the server applies them, and leave the old state alone", () => {
  const cases = [
    [{}, "merge", { items: { a: { text: "x" } } }, { items: { a: { text: "x" } } }],
    [{ a: 1, b: { c: 2, d: 3 } }, "merge", { a: null, b: { c: null } }, { b: { d: 3 } }],
    [{ a: [1] }, "merge", { a: [2, null] }, { a: [2, null] }],
    [{}, "set", { path: "/a~1b", value: 1 }, { "a/b": 1 }],
    [{ a: 1 }, "set", { path: "", value: [1] }, [1]],
    [{ a: [1, 2] }, "set", { path: "/a/0", value: 9 }, { a: [9, 2] }],
    [{ a: [1, 2] }, "set", { path: "/a/-", value: 3 }, { a: [1, 2, 3] }],
    [{ a: [1, 2] }, "set", { path: "/a/2", value: 3 }, { a: [1, 2, 3] }],
    [{ likes: 2 }, "increment", { path: "/likes", by: 3 }, { likes: 5 }],
    [{}, "increment", { path: "/likes", by: 1 }, { likes: 1 }],
    [{ a: [1, 3] }, "patch", [{ op: "add", path: "/a/1", value: 2 }, { op: "add", path: "/a/-", value: 4 }], { a: [1, 2, 3, 4] }],
    [{ a: [1, 2], b: 0 }, "patch", [{ op: "remove", path: "/a/0" }, { op: "replace", path: "/b", value: 9 }], { a: [2], b: 9 }],
    [{ a: { x: 1 } }, "patch", [{ op: "copy", from: "/a", path: "/b" }, { op: "move", from: "/a/x", path: "/c" }], { a: {}, b: { x: 1 }, c: 1 }],
    // What was copied is another value from then on.
    [{ a: { x: 1 } }, "patch", [{ op: "add", path: "/a/y", value: 2 }, { op: "copy", from: "/a", path: "/b" }, { op: "add", path: "/a/x", value: 3 }], { a: { x: 3, y: 2 }, b: { x: 1, y: 2 } }],
  ];
  for (const [before, type, body, after] of cases) {
    const state = documentFrom(before);
    assert.deepEqual(changeDocument(state, type, body), after, JSON.stringify([type, body]));
    assert.deepEqual(state, before);
  }
});

test("what an op leaves alone is shared, and nobody can change a state", () => {
  const state = documentFrom({ a: { x: 1 }, b: { y: [1] } });
  const next = changeDocument(state, "set", { path: "/a/x", value: { deep: [1] } });
  assert.equal(next.b, state.b);
  assert.throws(() => next.a.x.deep.push(2), TypeError);
  assert.throws(() => (next.b.y[0] = 2), TypeError);
  const core = room([{ seq: 1, at: 1, from: "ann", body: { text: "one" } }]);
  const [message] = core.confirmed.messages;
  core.apply(post(2, "two"));
  assert.equal(core.confirmed.messages[0], message);
  assert.throws(() => (message.body.text = "other"), TypeError);
});

test("what the server would reject throws, and no op reaches a prototype", () => {
  const refused = (state, type, body) => assert.throws(() => changeDocument(documentFrom(state), type, body), { name: "Error" }, JSON.stringify(body));
  refused({}, "patch", [{ op: "replace", path: "/gone/done", value: true }]);
  refused({}, "patch", [{ op: "remove", path: "/gone" }]);
  refused({}, "patch", [{ op: "remove", path: "" }]);
  refused({ a: {} }, "patch", [{ op: "move", from: "/a", path: "/a/b" }]);
  refused({ a: 1 }, "patch", [{ op: "test", path: "/a", value: 2 }]);
  refused({ a: "x" }, "increment", { path: "/a", by: 1 });
  refused({ a: [1] }, "increment", { path: "/a/1", by: 1 });
  refused({}, "set", { path: "/__proto__/polluted", value: 1 });
  refused({ a: [1] }, "set", { path: "/a/2", value: 1 });
  refused({ a: [1] }, "set", { path: "/a/01", value: 1 });
  for (const body of [null, 1, {}, { path: 1, value: 1 }, { path: "a", value: 1 }, { path: "/~2", value: 1 }]) refused({}, "set", body);
  changeDocument(documentFrom({}), "merge", JSON.parse('{"__proto__": {"polluted": 1}}'));
  assert.equal({}.polluted, undefined);
});

test("members come in the server's order, which is that of code points", () => {
  const core = new DocumentCore();
  core.replace({ b: 1, a: 2 });
  core.apply(change(1, "merge", { "👍": 1, "\ufffd": 2, aa: { d: 1, c: 2 } }));
  core.apply(change(2, "set", { path: "/ab", value: 3 }));
  assert.equal(JSON.stringify(core.confirmed), '{"a":2,"aa":{"c":2,"d":1},"ab":3,"b":1,"\ufffd":2,"👍":1}');
});
