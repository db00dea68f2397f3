const PAGE = 200;

/**
 * Brings a subscription to where the others of its entity are: from its own position by the history, as far as that reaches, or
 * else by the state.
 * @param {import("./subscription.js").Subscription} subscription
 * @param {{position: () => import("./types.js").Position | null, wanted: () => boolean,
 *   deliver: (event: import("./types.js").Event) => void}} feed
 * @returns {Promise<boolean>} false when it is not wanted any more
 */
export async function join(subscription, { position: live, wanted, deliver }) {
  const { read, history } = subscription.reads;
  const follows = subscription.options.events !== "none";
  for (let known = false; ; known = true) {
    const [own, goal] = [subscription.position, live()];
    if (!wanted()) return false;
    // Nothing can arrive between this look and the return.
    if (own && goal && (follows ? own.epoch === goal.epoch && own.seq >= goal.seq : known)) return true;
    const page = own && goal && follows && own.epoch === goal.epoch ? await history(own.seq, PAGE) : null;
    if (!wanted()) return false;
    if (own && page && page.epoch === own.epoch && page.events[0]?.seq === own.seq + 1) {
      for (const event of page.events) deliver(event);
      continue;
    }
    const { epoch, seq, state } = await read();
    if (!wanted()) return false;
    subscription.replace({ epoch, seq, snapshot: state, reason: own ? "too_old" : "no_position" });
  }
}
