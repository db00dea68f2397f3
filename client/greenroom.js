/**
 * Greenroom's SDK for browsers and Node: plain ES modules, no build step, no dependency. The guide is docs/client.md.
 *
 * @example
 * const client = connect({ url: "wss://example.org/ws", token: () => fetchToken() });
 * const room = client.entity("room:lobby");
 * for await (const { messages } of room.live()) console.log(messages);
 */
import { Client } from "./src/client.js";

export { GreenroomError } from "./src/errors.js";
export { indexedDbStorage } from "./src/indexeddb.js";

/**
 * Starts to connect and returns at once; use the client as if it were connected already.
 * @param {import("./src/types.js").ConnectOptions} [options]
 */
export function connect(options = {}) {
  return new Client(options);
}
