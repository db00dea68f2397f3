/** Clients of the SDK that are gone when the test is, and what one waits for. */
import { WebSocket } from "ws";
import { connect } from "../../../client/greenroom.js";

export { inState, next } from "../../../client/test/support/wait.js";

/** Connects with short waits, so that a test of many losses does not take long. */
export function sdk(t, url, options = {}) {
  const client = connect({ url, WebSocket, backoff: { baseMs: 20, capMs: 200 }, ...options });
  t.after(() => client.close());
  return client;
}

/** All events of an entity. */
export async function wholeHistory(entity) {
  const events = [];
  for (let more = true; more; ) {
    const page = await entity.history({ after: events.length, limit: 1000 });
    events.push(...page.events);
    more = page.more;
  }
  return events;
}

export const range = (count) => Array.from({ length: count }, (_, index) => index + 1);
