/**
 * React hooks over live states. React is a peer dependency; nothing else of the SDK needs it.
 */
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { NOBODY, enter, watchPresence } from "./react/presence.js";
import { openShared } from "./react/shared.js";

/** @typedef {import("../types/greenroom.js").Client} Client */

/** @type {import("react").Context<Client | null>} */
const ClientContext = createContext(/** @type {Client | null} */ (null));

/**
 * Gives all components below it a client. Who made the client closes it.
 * @param {{client: Client, children?: import("react").ReactNode}} props
 */
export function GreenroomProvider({ client, children }) {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** The client that `GreenroomProvider` gives. */
export function useClient() {
  const client = useContext(ClientContext);
  if (!client) throw new Error("there is no Greenroom client here: put `<GreenroomProvider client={connect()}>` around this component");
  return client;
}

const LOADING = Object.freeze({ state: undefined, status: "loading", error: null, pending: Object.freeze([]) });

/**
 * The live state of an entity, for as long as the component is mounted. Components that ask for the same share it.
 * @param {string} id
 * @param {any} [options]
 * @returns {any}
 */
export function useEntity(id, { behaviour, optimistic, limit, onRejected } = {}) {
  const client = useClient();
  const shared = useMemo(
    () => openShared(client, `live ${JSON.stringify([id, behaviour, optimistic, limit])}`, () => client.entity(id).live({ behaviour, optimistic, limit })),
    [client, id, behaviour, optimistic, limit],
  );
  const snapshot = useSyncExternalStore(shared.subscribe, () => shared.current?.getSnapshot() ?? LOADING, () => LOADING);

  const latest = useRef(onRejected);
  useEffect(() => void (latest.current = onRejected));
  const listens = onRejected !== undefined;
  useEffect(() => {
    if (listens) return shared.current?.on("rejected", (/** @type {any} */ { op, error }) => latest.current?.(op, error));
  }, [shared, listens]);

  const entity = useMemo(() => client.entity(id), [client, id]);
  const send = useCallback(
    (/** @type {string} */ type, /** @type {any} */ body, /** @type {{ifSeq?: number} | undefined} */ options) => (shared.current ?? entity).send(type, body, options),
    [shared, entity],
  );
  const loadEarlier = useCallback((/** @type {number | undefined} */ count) => shared.current?.loadEarlier(count) ?? Promise.resolve(0), [shared]);
  return useMemo(() => ({ ...snapshot, entity, send, loadEarlier }), [snapshot, entity, send, loadEarlier]);
}

/**
 * Who is here. With `me`, a JSON object, the user is here as that while the component is mounted.
 * @param {string} id
 * @param {object} [me]
 */
export function usePresence(id, me) {
  const client = useClient();
  const shared = useMemo(() => openShared(client, `presence ${id}`, () => watchPresence(client, id)), [client, id]);
  const { members, count, error } = useSyncExternalStore(shared.subscribe, () => shared.current?.getSnapshot() ?? NOBODY, () => NOBODY);
  const [refused, setRefused] = useState(/** @type {any} */ (null));

  // By its text: an object that is written in line is another one at each render.
  const meta = me && JSON.stringify(me);
  useEffect(() => {
    if (meta === undefined) return;
    setRefused(null);
    return enter(client, id, meta, setRefused);
  }, [client, id, meta]);
  return useMemo(() => ({ members, count, error: refused ?? error }), [members, count, error, refused]);
}
