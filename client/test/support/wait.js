/** What tests of the SDK wait for. */

/** The next payload of `name` that fits. */
export function next(emitter, name, fits = () => true) {
  return new Promise((resolve) => {
    const off = emitter.on(name, (payload) => {
      if (!fits(payload)) return;
      off();
      resolve(payload);
    });
  });
}

/** The client, once it is in `state`. */
export const inState = (client, state) => (client.state === state ? Promise.resolve(client) : next(client, "state", (change) => change.state === state));
