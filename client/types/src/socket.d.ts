/** The subprotocol of the only codec that this SDK speaks. */
export declare const SUBPROTOCOL = "greenroom.v1.json";
/**
 * One WebSocket, for one attempt. `lost` is told at most once, and never after `drop`.
 */
export declare class Socket {
    #private;
    /**
     * @param {string} url
     * @param {import("./types.js").WebSocketClass} WebSocketClass
     * @param {{open: () => void, text: (data: string) => void, lost: (code: number, reason: string, failure: string | null) => void}} handlers
     *   `failure` is not null when it never was open: what the socket said, or an empty text
     */
    constructor(url: string, WebSocketClass: import("./types.js").WebSocketClass, handlers: {
        open: () => void;
        text: (data: string) => void;
        lost: (code: number, reason: string, failure: string | null) => void;
    });
    /** Bytes handed over that the network has not taken yet. */
    get buffered(): number;
    /**
     * @param {string} text
     * @returns {boolean} whether the socket took it
     */
    send(text: string): boolean;
    /**
     * Lets go at once. The closing handshake of a dead network can take minutes, so nothing waits for it.
     * @param {number} code
     * @param {string} reason
     */
    drop(code: number, reason: string): void;
}
/**
 * @param {string | undefined} url
 * @returns {string}
 */
export declare function socketUrl(url: string | undefined): string;
