import { GreenroomError } from "./errors.js";
import { Pace } from "./pace.js";
import { Rpc } from "./rpc.js";
export type Hooks = {
    /**
     * resolves once `params` can be asked for
     */
    ready: () => Promise<void>;
    /**
     * the
     * params of `connect`, and what they may carry besides who we are: all, no presence for an older server, or nothing that makes it long
     */
    params: (token: string | undefined, rpc: Rpc, carries: "all" | "subscriptions" | "nothing") => {
        presence?: object[];
        [name: string]: unknown;
    };
    /**
     * who we are, and until when
     */
    hello: (result: import("./types.js").ConnectResult) => void;
    up: (result: import("./types.js").ConnectResult, rpc: Rpc) => void;
    /**
     * no answers will come from the last `rpc`
     */
    down: () => void;
    /**
     * the server is leaving: start nothing new
     */
    drain: () => void;
    /**
     * another request may be sent
     */
    free: () => void;
    notification: (method: string, params: any) => void;
    state: (change: import("./types.js").StateChange) => void;
    rtt: (ms: number) => void;
    message: (direction: "in" | "out", data: string) => void;
    error: (error: GreenroomError) => void;
};
/**
 * @typedef {object} Hooks what the connection asks of the client
 * @property {() => Promise<void>} ready resolves once `params` can be asked for
 * @property {(token: string | undefined, rpc: Rpc, carries: "all" | "subscriptions" | "nothing") => {presence?: object[], [name: string]: unknown}} params the
 *   params of `connect`, and what they may carry besides who we are: all, no presence for an older server, or nothing that makes it long
 * @property {(result: import("./types.js").ConnectResult) => void} hello who we are, and until when
 * @property {(result: import("./types.js").ConnectResult, rpc: Rpc) => void} up
 * @property {() => void} down no answers will come from the last `rpc`
 * @property {() => void} drain the server is leaving: start nothing new
 * @property {() => void} free another request may be sent
 * @property {(method: string, params: any) => void} notification
 * @property {(change: import("./types.js").StateChange) => void} state
 * @property {(ms: number) => void} rtt
 * @property {(direction: "in" | "out", data: string) => void} message
 * @property {(error: GreenroomError) => void} error
 */
/**
 * Keeps one connection alive: opens it, says `connect`, refreshes the token, notices its death, waits and opens the next.
 * It knows nothing of subscriptions or ops; it tells its owner when there is a line and when there is none.
 */
export declare class Connection {
    #private;
    /** @type {import("./types.js").State} */
    state: import("./types.js").State;
    /** @type {number | null} */
    nextAttemptAt: number | null;
    /** @type {GreenroomError | null} why the last connection ended */
    lastError: GreenroomError | null;
    /** @type {Rpc | null} set while connected */
    rpc: Rpc | null;
    /** Attempts since the last connection that came to nothing: the server may have been started anew. */
    failures: number;
    /**
     * @param {{url: string, token: import("./types.js").ConnectOptions["token"], WebSocket: import("./types.js").WebSocketClass,
     *   backoff: {baseMs?: number, capMs?: number}, clock: import("./types.js").Clock, connectTimeoutMs: number, maxQueue: number}} options
     * @param {Hooks} hooks
     */
    constructor(options: {
        url: string;
        token: import("./types.js").ConnectOptions["token"];
        WebSocket: import("./types.js").WebSocketClass;
        backoff: {
            baseMs?: number;
            capMs?: number;
        };
        clock: import("./types.js").Clock;
        connectTimeoutMs: number;
        maxQueue: number;
    }, hooks: Hooks);
    /** Opens a connection now, unless there is one or this is closed for good. */
    open(): void;
    /** Asks the server for a sign of life, or tries again at once: for when the network or the page came back. */
    wake(): void;
    /** The network is gone, which the socket would notice much later. */
    offline(): void;
    /**
     * Asks for a token and shows it to the server, on a live connection.
     * @returns {Promise<void>}
     */
    refresh(): Promise<void>;
    /** The pace at which signals may be sent. */
    get pace(): Pace;
    /** Measures the round trip now. */
    ping(): void;
    /**
     * Ends it for good.
     * @param {GreenroomError} error what those who still wait are told
     */
    close(error: GreenroomError): void;
    /**
     * Gives the present connection up and reconnects.
     * @param {GreenroomError} error
     */
    restart(error: GreenroomError): void;
    /** Bytes on their way that the network has not taken. */
    get buffered(): number;
}
