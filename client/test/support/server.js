import { once } from "node:events";
import { WebSocketServer } from "ws";

/** An unbounded hand-over between what arrives and what a test waits for. */
class Inbound {
  #items = [];
  #waiting = [];

  push(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export const LIMITS = { max_message_bytes: 65_536, max_body_bytes: 32_768, max_subscriptions: 256, max_in_flight: 64, ping_interval_ms: 25_000 };

/**
 * A server that does what the test tells it, line by line, for the faults that a real one never shows on demand.
 * Only `ping` is answered without being told to.
 */
export class FakeServer {
  #wss;
  #peers = new Inbound();

  static async start() {
    const server = new FakeServer();
    server.#wss = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    server.#wss.on("connection", (ws) => server.#peers.push(new Peer(ws)));
    await once(server.#wss, "listening");
    server.url = `ws://127.0.0.1:${server.#wss.address().port}/ws`;
    return server;
  }

  /** The next connection. */
  accept() {
    return this.#peers.next();
  }

  /** The next connection, with its `connect` answered. */
  async welcome(result = {}) {
    const peer = await this.accept();
    const request = await peer.expect("connect");
    peer.hello(request, result);
    return peer;
  }

  async stop() {
    for (const ws of this.#wss.clients) ws.terminate();
    this.#wss.close();
    await once(this.#wss, "close");
  }
}

class Peer {
  #requests = new Inbound();
  #closed;
  answersPings = true;

  constructor(ws) {
    this.ws = ws;
    this.protocol = ws.protocol;
    this.#closed = once(ws, "close").then(([code]) => code);
    ws.on("message", (data) => {
      const request = JSON.parse(data.toString());
      if (request.method !== "ping") this.#requests.push(request);
      else if (this.answersPings) this.reply(request, { now: 1 });
    });
  }

  /** The next request, which must be of this method. */
  async expect(method) {
    const request = await this.#requests.next();
    if (request.method !== method) throw new Error(`expected \`${method}\`, got ${JSON.stringify(request)}`);
    return request;
  }

  hello(request, result = {}) {
    this.connectParams = request.params;
    const defaults = { session: "s", client: request.params.client ?? "01CLIENT", user: "ann", server: "fake/1", limits: LIMITS };
    this.reply(request, { ...defaults, ...result });
  }

  reply(request, result) {
    this.#send({ jsonrpc: "2.0", id: request.id, result });
  }

  fail(request, code, data = {}) {
    this.#send({ jsonrpc: "2.0", id: request.id, error: { code: -32000, message: `it is ${code}`, data: { code, ...data } } });
  }

  notify(method, params) {
    this.#send({ jsonrpc: "2.0", method, params });
  }

  event(entity, seq, body = { text: `m${seq}` }) {
    this.notify("event", { entity, ...event(seq, body) });
  }

  /** All that is sent within goes out in one packet. */
  together(run) {
    this.ws._socket.cork();
    run();
    this.ws._socket.uncork();
  }

  close(code, reason) {
    this.ws.close(code, reason);
  }

  /** As when a cable is cut: no closing handshake. */
  cut() {
    this.ws.terminate();
  }

  /** Resolves with the code of the close once it is closed. */
  closed() {
    return this.#closed;
  }

  #send(message) {
    this.ws.send(JSON.stringify(message));
  }
}

export function event(seq, body = { text: `m${seq}` }) {
  return { seq, at: 1, from: "bob", type: "post", body };
}
