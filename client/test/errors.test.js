import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { GreenroomError, SERVER_CODES } from "../src/errors.js";

const openrpc = JSON.parse(readFileSync(new URL("../../docs/openrpc.json", import.meta.url), "utf8"));

test("the codes that are declared are those of the protocol", () => {
  assert.deepEqual([...SERVER_CODES].sort(), Object.keys(openrpc.components.errors).sort());
});

test("a code of a newer server is `unknown`, and its message names it", () => {
  const error = GreenroomError.fromRpc({ code: -32099, message: "it is tired", data: { code: "tired", retry_after_ms: 5 } });
  assert.equal(error.code, "unknown");
  assert.equal(error.message, "it is tired (tired)");
  assert.deepEqual([error.rpcCode, error.retryAfterMs], [-32099, 5]);
});
