import { GreenroomError } from "./errors.js";
/**
 * Why a WebSocket could not be opened. WebSockets do not tell what the server answered, for which a plain request is made to the
 * same address. Between sites a browser does not tell that either, unless the server allows it.
 * @param {string} url
 * @param {string} detail what the socket said itself, if anything
 * @param {import("./dom.js").Signal} signal
 * @returns {Promise<GreenroomError | null>} null when nothing is known, or nobody wants to know any more
 */
export declare function explain(url: string, detail: string, signal: import("./dom.js").Signal): Promise<GreenroomError | null>;
