import { WebSocket } from "ws";
import { connect } from "../../greenroom.js";
import { FakeClock } from "./clock.js";
import { FakeServer } from "./server.js";

/** A server, a clock and clients, all gone when the test is. */
export async function story(t, { random = 0 } = {}) {
  const server = await FakeServer.start();
  const clock = new FakeClock(random);
  const clients = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await server.stop();
  });
  return {
    server,
    clock,
    connect(options = {}) {
      const client = connect({ url: server.url, WebSocket, clock, ...options });
      clients.push(client);
      return client;
    },
  };
}

/** The next payload of `name` that fits. */
export function next(emitter, name, fits = () => true) {
  return new Promise((resolve) => {
    const off = emitter.on(name, (payload) => {
      if (!fits(payload)) return;
      off();
      resolve(payload);
    });
  });
}

export const inState = (client, state) => (client.state === state ? Promise.resolve(client) : next(client, "state", (change) => change.state === state));
