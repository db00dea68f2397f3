import { GreenroomError } from "./errors.js";

const SHOWN = 300;

/**
 * Why a WebSocket could not be opened. WebSockets do not tell what the server answered, for which a plain request is made to the
 * same address. Between sites a browser does not tell that either, unless the server allows it.
 * @param {string} url
 * @param {string} detail what the socket said itself, if anything
 * @param {import("./dom.js").Signal} signal
 * @returns {Promise<GreenroomError | null>} null when nothing is known, or nobody wants to know any more
 */
export async function explain(url, detail, signal) {
  const address = url.replace(/^ws/, "http");
  const told = (/** @type {string} */ message, /** @type {number | undefined} */ status, /** @type {unknown} */ cause) =>
    new GreenroomError("disconnected", `cannot connect to \`${url.replace(/\?.*/, "")}\`: ${message}`, { status, cause });
  if (typeof fetch !== "function") return detail ? told(detail, statusIn(detail), undefined) : null;
  try {
    const response = await fetch(address, { credentials: "omit", signal });
    const body = (await response.text()).trim().slice(0, SHOWN);
    // A plain request is told that a handshake is expected. The socket was refused for another
    // reason, which it may have said.
    const expected = response.status === 426 || (response.status === 400 && /websocket/i.test(body));
    if (expected) return told(detail || refused(), statusIn(detail), undefined);
    return told(`the server answers HTTP ${response.status}${body ? `: ${body}` : ""}`, response.status, undefined);
  } catch (cause) {
    if (signal.aborted) return null;
    // Between sites the answer is not shown, but that there is one can be known.
    const reached = typeof location === "object" && new URL(address).origin !== location.origin && (await fetch(address, { mode: "no-cors", credentials: "omit", signal }).catch(() => null));
    if (signal.aborted) return null;
    if (reached) return told(detail || refused(), statusIn(detail), undefined);
    const deep = /** @type {any} */ (cause)?.cause;
    const reason = deep?.code ?? deep?.message ?? "";
    return told([detail || "no answer", reason].filter(Boolean).join(", "), statusIn(detail), cause);
  }
}

function refused() {
  const origin = typeof location === "object" ? ` Is the origin \`${location.origin}\` among its \`allowed_origins\`?` : "";
  return `the server answers, but refuses WebSockets.${origin}`;
}

/** The package `ws` says the status in its error. @param {string} detail */
function statusIn(detail) {
  const found = /\b([45]\d\d)\b/.exec(detail);
  return found ? Number(found[1]) : undefined;
}
