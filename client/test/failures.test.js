/** Why there is no connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";
import { WebSocket } from "ws";
import { connect } from "../greenroom.js";
import { inState, next } from "./support/story.js";
import { FakeClock } from "./support/clock.js";

/** As Node's own WebSocket: it does not say why. */
class Silent extends WebSocket {
  set onerror(handler) {
    super.onerror = handler && (() => handler({ message: "" }));
  }
}

async function http(t, answer) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  // Without an answer to the upgrade itself the socket fails as it does for any refusal.
  server.on("upgrade", (request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n"));
  await once(server, "listening");
  t.after(() => server.close());
  return `ws://127.0.0.1:${server.address().port}/ws?secret=1`;
}

function client(t, url, options = {}) {
  const made = connect({ url, WebSocket, clock: new FakeClock(0.5), ...options });
  t.after(() => made.close());
  return made;
}

test("the HTTP status and what the server says are told, where the socket does not say it", async (t) => {
  const url = await http(t, (_, response) => response.writeHead(403).end("the origin `http://evil.test` is not among `allowed_origins`\n"));
  const failed = client(t, url, { WebSocket: Silent });
  const error = await next(failed, "error");
  assert.equal(error.status, 403);
  assert.match(error.message, /^cannot connect to `ws:\/\/127[^?]+\/ws`: the server answers HTTP 403: the origin `http:\/\/evil.test` is not among/);
  assert.equal(failed.error, error);
  assert.equal(failed.state, "waiting");
});

test("a server that is there but refuses the socket for what a plain request does not show is told apart", async (t) => {
  const url = await http(t, (_, response) => response.writeHead(426).end("a WebSocket handshake is expected"));
  assert.match((await next(client(t, url, { WebSocket: Silent }), "error")).message, /refuses WebSockets/);
  const said = await next(client(t, url), "error");
  assert.deepEqual([said.status, /Unexpected server response: 403/.test(said.message)], [403, true]);
});

test("a wrong path is told", async (t) => {
  const url = await http(t, (_, response) => response.writeHead(404).end("no such path; the socket is at /ws"));
  assert.match((await next(client(t, url, { WebSocket: Silent }), "error")).message, /HTTP 404: no such path/);
});

test("nobody there is told, once per half minute", async (t) => {
  const clock = new FakeClock(0);
  const failed = client(t, "ws://127.0.0.1:9/ws", { clock });
  const errors = [];
  failed.on("error", (error) => errors.push(error));
  assert.match((await next(failed, "error")).message, /ECONNREFUSED/);
  for (let k = 0; k < 3; k += 1) {
    clock.advance(0);
    await inState(failed, "waiting");
  }
  assert.equal(errors.length, 1);
  clock.advance(30_000);
  await next(failed, "error");
});

test("whoever closes the client does not want to know any more", async (t) => {
  let asked;
  const reached = new Promise((resolve) => (asked = resolve));
  const url = await http(t, asked);
  const failed = client(t, url);
  const errors = [];
  failed.on("error", (error) => errors.push(error));
  const request = await reached;
  const gone = once(request.socket, "close");
  failed.close();
  await gone;
  assert.deepEqual([errors, failed.error.code], [[], "closed"]);
});

test("a page does not ask again once it has been connected", async (t) => {
  let requests = 0;
  const url = await http(t, (_, response) => {
    requests += 1;
    response.writeHead(404).end("not here");
  });
  globalThis.location = new URL(url.replace("ws", "http"));
  t.after(() => delete globalThis.location);
  const clock = new FakeClock(0);
  let attempts = 0;
  // Connected at first, then refused.
  class Socket {
    readyState = 1;
    bufferedAmount = 0;
    constructor() {
      attempts += 1;
      queueMicrotask(() => (attempts > 1 ? this.onclose({ code: 1006, reason: "" }) : this.onopen()));
      Socket.last = this;
    }
    send(text) {
      const { id } = JSON.parse(text);
      const limits = { max_message_bytes: 1e5, max_in_flight: 9, ping_interval_ms: 1e6 };
      queueMicrotask(() => this.onmessage({ data: JSON.stringify({ id, result: { session: "s", client: "c", user: "u", limits } }) }));
    }
    close() {}
  }
  const made = client(t, url, { WebSocket: Socket, clock });
  await made.connected();
  Socket.last.onclose({ code: 1006, reason: "" });
  clock.advance(0);
  await next(made, "state", ({ state }) => state === "waiting");
  await inState(client(t, url, { WebSocket: Silent }), "waiting");
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(attempts > 1);
  assert.equal(requests, 0);
});
