/**
 * Greenroom's SDK for browsers and Node: plain ES modules, no build step, no dependency. The guide is docs/client.md.
 *
 * @example
 * const client = connect({ url: "wss://example.org/ws", token: () => fetchToken() });
 * const room = client.entity("room:lobby");
 * for await (const item of room.subscribe()) console.log(item);
 */
import { Client } from "./src/client.js";
export { Client } from "./src/client.js";
export { Entity } from "./src/entity.js";
export { GreenroomError } from "./src/errors.js";
export { indexedDbStorage } from "./src/indexeddb.js";
export { Subscription } from "./src/subscription.js";
export type ConnectOptions = import("./src/types.js").ConnectOptions;
export type SubscribeOptions = import("./src/types.js").SubscribeOptions;
export type Item = import("./src/types.js").Item;
export type Event = import("./src/types.js").Event;
export type Member = import("./src/types.js").Member;
export type Position = import("./src/types.js").Position;
export type PendingOp = import("./src/types.js").PendingOp;
export type StateChange = import("./src/types.js").StateChange;
export type IndexedDbOptions = import("./src/indexeddb.js").IndexedDbOptions;
/** @typedef {import("./src/types.js").ConnectOptions} ConnectOptions */
/** @typedef {import("./src/types.js").SubscribeOptions} SubscribeOptions */
/** @typedef {import("./src/types.js").Item} Item */
/** @typedef {import("./src/types.js").Event} Event */
/** @typedef {import("./src/types.js").Member} Member */
/** @typedef {import("./src/types.js").Position} Position */
/** @typedef {import("./src/types.js").PendingOp} PendingOp */
/** @typedef {import("./src/types.js").StateChange} StateChange */
/** @typedef {import("./src/indexeddb.js").IndexedDbOptions} IndexedDbOptions */
/**
 * Starts to connect and returns at once; use the client as if it were connected already.
 * @param {ConnectOptions} [options]
 */
export declare function connect(options?: ConnectOptions): Client;
