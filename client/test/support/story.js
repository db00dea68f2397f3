import { WebSocket } from "ws";
import { connect } from "../../greenroom.js";
import { FakeClock } from "./clock.js";
import { FakeServer } from "./server.js";

export { inState, next } from "./wait.js";

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
