import assert from "node:assert/strict";
import test from "node:test";
import { Backoff } from "../src/backoff.js";

const take = (backoff, count) => Array.from({ length: count }, () => backoff.next());

test("the reach doubles up to the cap", () => {
  const backoff = new Backoff({ baseMs: 100, capMs: 1_000 }, () => 1);
  assert.deepEqual(take(backoff, 6), [100, 200, 400, 800, 1_000, 1_000]);
});

test("the wait is anywhere within the reach, down to nothing", () => {
  const dice = [0, 0.25, 0.5];
  const backoff = new Backoff({ baseMs: 100, capMs: 1_000 }, () => dice.shift());
  assert.deepEqual(take(backoff, 3), [0, 50, 200]);
});

test("after a reset it starts small again", () => {
  const backoff = new Backoff({ baseMs: 100, capMs: 1_000 }, () => 1);
  take(backoff, 4);
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test("a thousand attempts do not overflow the cap", () => {
  const backoff = new Backoff({}, () => 1);
  assert.equal(take(backoff, 2_000).at(-1), 30_000);
});
