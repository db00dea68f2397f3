/** A wire that can be cut: passes TCP on, and breaks connections where the test says. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  #server;
  #pairs = new Set();
  #target;
  /** How many connections there were. */
  accepted = 0;
  /** Called with each chunk on its way, "up" to the server or "down" from it; true loses the chunk and cuts the wire. */
  cutAt = () => false;

  /** @param {string} url of the server's socket */
  static async start(t, url) {
    const proxy = new Proxy();
    proxy.#target = new URL(url);
    proxy.#server = createServer((client) => proxy.#pass(client)).listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.url = `ws://127.0.0.1:${proxy.#server.address().port}/ws`;
    t.after(() => {
      proxy.#server.close();
      proxy.cut();
    });
    return proxy;
  }

  /** Breaks all connections, without a word. */
  cut() {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  /** While it holds, nothing is read from the server. */
  hold(on) {
    for (const [, server] of this.#pairs) {
      if (on) server.pause();
      else server.resume();
    }
  }

  /** Until the WebSockets that there are have been closed by their clients. */
  async left() {
    const sockets = [...this.#pairs].filter((pair) => pair.upgraded).map(([client]) => client);
    await Promise.all(sockets.map((client) => client.closed || once(client, "close")));
  }

  #pass(client) {
    this.accepted += 1;
    const server = connect(Number(this.#target.port), this.#target.hostname);
    const pair = [client, server];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    const forward = (from, to, direction) => {
      from.on("data", (chunk) => {
        if (!this.#pairs.has(pair)) return;
        pair.upgraded ||= direction === "up" && chunk.includes("Upgrade: websocket");
        if (this.cutAt(direction, chunk)) return this.cut();
        to.write(chunk);
      });
      from.on("error", end);
      from.on("close", end);
    };
    forward(client, server, "up");
    forward(server, client, "down");
  }
}
