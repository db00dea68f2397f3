import assert from "node:assert/strict";
import test from "node:test";
import { applyOp } from "../demo/json.js";
import { Messages } from "../demo/messages.js";

const post = (seq, text) => ({ seq, at: seq, from: "ann", type: "post", body: { text } });
const change = (seq, type, body, from = "ann") => ({ seq, at: seq, from, type, body });
const texts = (messages) => messages.all.map(({ seq, body, deleted }) => [seq, deleted ? "deleted" : body.text]);

test("live events post, edit, delete and react", () => {
  const messages = new Messages();
  messages.replace({ messages: [{ seq: 1, at: 1, from: "ann", body: { text: "one" } }] });
  messages.apply(post(2, "two"));
  messages.apply(change(3, "edit", { seq: 1, body: { text: "one!" } }));
  messages.apply(change(4, "react", { seq: 1, emoji: "👍" }, "bob"));
  messages.apply(change(5, "react", { seq: 1, emoji: "👍" }, "eve"));
  messages.apply(change(6, "react", { seq: 1, emoji: "👍", remove: true }, "bob"));
  messages.apply(change(7, "delete", { seq: 2 }));
  assert.deepEqual(texts(messages), [[1, "one!"], [2, "deleted"]]);
  assert.deepEqual(messages.get(1).reactions, { "👍": ["eve"] });
  messages.apply(change(8, "react", { seq: 1, emoji: "👍", remove: true }, "eve"));
  assert.deepEqual(messages.get(1).reactions, {});
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
    const messages = new Messages();
    messages.replace({ messages: [{ seq: 4, at: 4, from: "ann", body: { text: "c2" } }, { seq: 9, at: 9, from: "ann", body: { text: "d" } }] });
    let added = 0;
    for (let end = events.length; end > 0; end -= size) added += messages.prepend(events.slice(Math.max(0, end - size), end));
    assert.equal(added, 2, `pages of ${size}`);
    assert.deepEqual(texts(messages), [[1, "a3"], [2, "deleted"], [4, "c2"], [9, "d"]], `pages of ${size}`);
  }
});

test("tombstones are deleted messages, wherever they come from", () => {
  const gone = (seq, type) => ({ seq, at: seq, from: "ann", type, body: null, deleted: true });
  const events = [post(1, "a"), gone(2, "post"), gone(3, "edit"), change(4, "react", { seq: 2, emoji: "🎉" }, "bob"), change(5, "delete", { seq: 2 })];
  const live = new Messages();
  for (const event of [...events, change(6, "purge", { seq: 1 }), gone(7, "edit")]) live.apply(event);
  assert.deepEqual(texts(live), [[1, "deleted"], [2, "deleted"]]);
  for (const size of [1, 2, 3, 5]) {
    const messages = new Messages();
    messages.replace({ messages: [] });
    for (let end = events.length; end > 0; end -= size) messages.prepend(events.slice(Math.max(0, end - size), end));
    assert.deepEqual(texts(messages), [[1, "a"], [2, "deleted"]], `pages of ${size}`);
    assert.equal(messages.get(2).reactions, undefined);
  }
});

test("document ops apply as the server applies them", () => {
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
  ];
  for (const [before, type, body, after] of cases) {
    const kept = structuredClone(before);
    assert.deepEqual(applyOp(before, type, body), after, JSON.stringify([type, body]));
    assert.deepEqual(before, kept, "the old value is left alone");
  }
});

test("what the server would reject throws, and no op reaches a prototype", () => {
  assert.throws(() => applyOp({}, "patch", [{ op: "replace", path: "/gone/done", value: true }]));
  assert.throws(() => applyOp({}, "patch", [{ op: "remove", path: "/gone" }]));
  assert.throws(() => applyOp({ a: "x" }, "increment", { path: "/a", by: 1 }));
  assert.throws(() => applyOp({}, "set", { path: "/__proto__/polluted", value: 1 }));
  assert.throws(() => applyOp({ a: [1] }, "set", { path: "/a/2", value: 1 }));
  applyOp({}, "merge", JSON.parse('{"__proto__": {"polluted": 1}}'));
  assert.equal({}.polluted, undefined);
});

test("anything may be an emoji, also what every object has", () => {
  for (const emoji of ["constructor", "__proto__", "toString", "hasOwnProperty", "👍"]) {
    const messages = new Messages();
    messages.replace(JSON.parse('{"messages": [{"seq": 1, "at": 1, "from": "ann", "body": {"text": "one"}, "reactions": {"❤": ["eve"]}}]}'));
    messages.apply(change(2, "react", { seq: 1, emoji }, "bob"));
    messages.apply(change(3, "react", { seq: 1, emoji }, "eve"));
    assert.deepEqual(Object.entries(messages.get(1).reactions), [["❤", ["eve"]], [emoji, ["bob", "eve"]]], emoji);
    messages.apply(change(4, "react", { seq: 1, emoji, remove: true }, "bob"));
    messages.apply(change(5, "react", { seq: 1, emoji, remove: true }, "eve"));
    assert.deepEqual(Object.entries(messages.get(1).reactions), [["❤", ["eve"]]], emoji);
    assert.equal({}.bob, undefined);
  }
});

test("a post whose body was deleted is shown as a deleted message, and other remains change nothing", () => {
  const messages = new Messages();
  messages.replace({ messages: [] });
  messages.prepend([{ ...post(1, null), body: null, deleted: true }, { ...change(2, "edit", null), body: null, deleted: true }, post(3, "c")]);
  assert.deepEqual(texts(messages), [[1, "deleted"], [3, "c"]]);
});
