/** The subprotocol of the only codec that this SDK speaks. */
export const SUBPROTOCOL = "greenroom.v1.json";

const OPEN = 1;

/**
 * One WebSocket, for one attempt. `lost` is told at most once, and never after `drop`.
 */
export class Socket {
  /** @type {import("./types.js").WebSocketLike} */
  #ws;

  /**
   * @param {string} url
   * @param {import("./types.js").WebSocketClass} WebSocketClass
   * @param {{open: () => void, text: (data: string) => void, lost: (code: number, reason: string, failure: string | null) => void}} handlers
   *   `failure` is not null when it never was open: what the socket said, or an empty text
   */
  constructor(url, WebSocketClass, handlers) {
    const ws = /** @type {import("./types.js").WebSocketLike} */ (new WebSocketClass(url, [SUBPROTOCOL]));
    this.#ws = ws;
    let opened = false;
    let failure = "";
    ws.onopen = () => {
      opened = true;
      handlers.open();
    };
    ws.onmessage = (event) => {
      if (typeof event.data === "string") handlers.text(event.data);
    };
    // A failed socket always closes too, and only the close has a code.
    ws.onerror = (event) => {
      failure = event?.message ?? event?.error?.message ?? "";
    };
    ws.onclose = (event) => {
      this.#detach();
      handlers.lost(event.code, event.reason, opened ? null : failure);
    };
  }

  /** Bytes handed over that the network has not taken yet. */
  get buffered() {
    return this.#ws.bufferedAmount;
  }

  /**
   * @param {string} text
   * @returns {boolean} whether the socket took it
   */
  send(text) {
    if (this.#ws.readyState !== OPEN) return false;
    this.#ws.send(text);
    return true;
  }

  /**
   * Lets go at once. The closing handshake of a dead network can take minutes, so nothing waits for it.
   * @param {number} code
   * @param {string} reason
   */
  drop(code, reason) {
    this.#detach();
    // Closing before the handshake is done is an error event in `ws`; keep a handler for it.
    this.#ws.onerror = () => {};
    this.#ws.close(code, reason);
  }

  #detach() {
    this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null;
  }
}

/**
 * @param {string | undefined} url
 * @returns {string}
 */
export function socketUrl(url) {
  const base = typeof location === "object" ? location.href : undefined;
  if (url === undefined && base === undefined) throw new TypeError("outside a page `url` is required");
  const parsed = new URL(url ?? "/ws", base);
  if (parsed.protocol === "http:") parsed.protocol = "ws:";
  if (parsed.protocol === "https:") parsed.protocol = "wss:";
  if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") throw new TypeError(`\`${url}\` is not a WebSocket address`);
  parsed.hash = "";
  return parsed.href;
}
