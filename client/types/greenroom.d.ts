/**
 * Greenroom's SDK for browsers and Node. The guide is docs/client.md.
 *
 * This file is the public face, written by hand; `npm run check` compares it with the sources. Times are milliseconds since the
 * Unix epoch, durations end in `Ms` (or `_ms` where they come from the server).
 */

/**
 * Starts to connect and returns at once; use the client as if it were connected already.
 *
 * @example
 * const client = connect({ url: "wss://example.org/ws", token: () => fetchToken() });
 * const live = client.entity("room:lobby").live({ optimistic: true });
 * live.subscribe(() => render(live.state));
 */
export declare function connect(options?: ConnectOptions): Client;

/**
 * Keeps the client id and its unanswered ops in IndexedDB, so that they outlive a closed tab and a crashed browser. Pass it as
 * `storage` to `connect`. Throws where there is no IndexedDB.
 */
export declare function indexedDbStorage(options?: IndexedDbOptions): IndexedDbStorage;

export interface ConnectOptions {
  /** `ws://`, `wss://`, `http://` or `https://`; in a page the default is `/ws` on the page's host. */
  url?: string;
  /** A JWT, or a function that is asked for one at each connect, and when the present one is about to expire. */
  token?: TokenValue | (() => TokenValue | Promise<TokenValue>);
  /** For Node before 22: the class of the package `ws`. */
  WebSocket?: WebSocketClass;
  /** Exponential backoff with full jitter (500 ms, 30 s). */
  backoff?: { baseMs?: number; capMs?: number };
  /** Unanswered ops, and calls that wait, each (1000). */
  maxPending?: number;
  /** Ops of one entity in flight at once (1, which keeps their order whatever happens). */
  pipeline?: number;
  /** How often an op that the server puts off is tried again (10). */
  maxRetries?: number;
  /** From opening the socket to the answer to `connect` (10 s). */
  connectTimeoutMs?: number;
  /** How long an answer may take (30 s). */
  answerTimeoutMs?: number;
  /** The client id to present. It must not be in use elsewhere. */
  client?: string;
  /** With `client`: the number of the next op (1). */
  firstN?: number;
  /** Keeps the client id and unanswered ops: over a reload in `sessionStorage`, over closed tabs and crashes with `indexedDbStorage()`. */
  storage?: StorageLike | IndexedDbStorage | null;
}

export type TokenValue = string | null | undefined;

/** A WebSocket class: a browser's, Node's, or that of the package `ws`. */
export type WebSocketClass = new (url: string, protocols: string[]) => any;

export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface IndexedDbOptions {
  /** The database's name (`greenroom`). Give each account of one browser its own. */
  name?: string;
  /** Bytes of unanswered ops, for each page (8 MiB). Their number is bounded by `maxPending`. */
  maxBytes?: number;
}

/** What `indexedDbStorage` makes, for `connect`. */
export interface IndexedDbStorage {
  readonly name: string;
  readonly maxBytes: number;
}

// -- The client ------------------------------------------------------------------------------------------------------

/** `waiting`: for the next attempt, at `nextAttemptAt`. `closed`: for good, and `error` says why. */
export type State = "connecting" | "connected" | "waiting" | "closed";

export interface StateChange {
  state: State;
  previous: State;
  nextAttemptAt: number | null;
  error: GreenroomError | null;
}

export interface ClientEvents {
  state: StateChange;
  /** A round trip was measured, in milliseconds. */
  rtt: number;
  /** The number of unanswered ops changed, or one of them is kept now. */
  pending: number;
  /** A raw message passed; tokens are blotted out. */
  message: RawMessage;
  /** Something failed that no call of the app waits for. */
  error: GreenroomError;
}

export interface RawMessage {
  direction: "in" | "out";
  data: string;
  at: number;
}

/** One connection to a server, kept alive until `close`. */
export interface Client extends Listenable<ClientEvents> {
  readonly state: State;
  /** When the next attempt is due, while waiting. */
  readonly nextAttemptAt: number | null;
  /** Why the last connection was lost, or the client closed; null while connected. */
  readonly error: GreenroomError | null;
  /** Who the server says we are: the token's `sub`, or `anon-…`; null before the first connection. */
  readonly user: string | null;
  /** The latest answer to `connect`. */
  readonly hello: ConnectResult | null;
  /** The latest round trip in milliseconds. */
  readonly rtt: number | null;
  /** The ops that have no answer yet, in the order in which each entity gets them. */
  readonly pending: PendingOp[];
  /** @param id `kind:id`, e.g. `room:lobby` */
  entity<Id extends string>(id: Id): Entity<Id>;
  /** Resolves once connected; rejects when the client is closed, by the app or because the server refuses it. */
  connected(): Promise<void>;
  /** Measures the round trip now; the answer comes as the event `rtt`. */
  ping(): void;
  /** Does not wait for the time of the next attempt. While connected, the server is asked for a sign of life. */
  reconnect(): void;
  /** Asks the token function for a token now, and shows it to the server. */
  refresh(): Promise<void>;
  /**
   * Ends the connection for good. What still waits for an answer is rejected with `closed`.
   * @param options `discard` takes client id and ops out of IndexedDB, as when somebody signs out
   */
  close(options?: { discard?: boolean }): Promise<void>;
}

export interface ConnectResult {
  session: string;
  client: string;
  user: string;
  expires_at?: number;
  /** The server's clock. */
  now: number;
  server: string;
  limits: Limits;
  /** The connection took the place of the lost one, its presence included. */
  resumed?: true;
}

export interface Limits {
  max_message_bytes: number;
  max_body_bytes: number;
  max_subscriptions: number;
  max_in_flight: number;
  ping_interval_ms: number;
  rates?: { requests?: Rate; bytes?: Rate; user_requests?: Rate };
}

export interface Rate {
  per_second: number;
  burst: number;
}

/** An op that has not been answered. */
export interface PendingOp {
  /** Null until it is kept or first sent. */
  n: number | null;
  entity: string;
  type: string;
  body: any;
  /** `sent`: it may have happened already, though its answer is not here. */
  state: "queued" | "sent";
  /** How often this page sent it. */
  attempts: number;
  /** Sent on the present connection and not answered yet. */
  inFlight: boolean;
  /** It is in IndexedDB, and outlives this page. */
  kept: boolean;
  /** An earlier page left it. */
  restored: boolean;
}

// -- Entities --------------------------------------------------------------------------------------------------------

/** One addressable thing, `kind:id`. A light handle: make as many as you like. */
export interface Entity<Id extends string = string> {
  readonly id: Id;
  /** The ops of this entity that have no answer yet, in the order in which it gets them. */
  readonly pending: PendingOp[];
  readonly presence: Presence;

  /**
   * The present state, kept up to date. The kinds `room`, `doc` and `document` are known; for others, say what their `behaviour` is.
   * `optimistic` shows one's own ops before the server has them.
   */
  live(this: Entity<`room:${string}`>, options?: LiveOptions & { behaviour?: "room" }): LiveRoom;
  live<State = any>(this: Entity<`doc:${string}`> | Entity<`document:${string}`>, options?: LiveOptions & { behaviour?: "document" }): LiveDocument<State>;
  live(options: LiveOptions & { behaviour: "room" }): LiveRoom;
  live<State = any>(options: LiveOptions & { behaviour: "document" }): LiveDocument<State>;
  live(options?: LiveOptions): LiveRoom | LiveDocument;

  /** Starts to receive. Several subscriptions to one entity share what the server sends; each gets the state first, then all events. */
  subscribe(options?: SubscribeOptions): Subscription;
  /**
   * A durable op. Resolves when the server has it on disk; rejects when it was refused, or when its outcome cannot be known
   * (`unavailable` after all retries, `outcome_unknown`, `closed`). Without a connection it waits for one.
   * @param options `ifSeq`: only if the entity is at this seq, else `conflict`
   */
  send(type: OpType, body: any, options?: { ifSeq?: number }): Promise<SendResult>;
  /**
   * A volatile message to the other subscribers; false when it was dropped.
   * @param options `key`: a newer one with the same type and key replaces an undelivered older one
   */
  signal(type: string, body: any, options?: { key?: string }): boolean;
  /** The committed state. */
  read(): Promise<ReadResult>;
  /** Events of the log, ascending: the last `limit` before `before` (or of all), or the first `limit` after `after`. */
  history(range?: { before?: number; after?: number; limit?: number }): Promise<HistoryResult>;
}

/** The ops of rooms and of documents; a newer server may have others. */
export type OpType = "post" | "edit" | "delete" | "purge" | "react" | "patch" | "merge" | "increment" | "set" | (string & {});

export interface Presence {
  list(): Promise<PresenceList>;
  /** Repeated after a reconnect until `leave`. @param meta a JSON object of at most 1 KiB; entering again updates it */
  enter(meta?: object): Promise<{ count: number }>;
  leave(): Promise<{ count: number }>;
}

/** `members` is absent in a crowd: more than the kind lists, 1000 at most. */
export interface PresenceList {
  count: number;
  members?: Member[];
}

/** One user who is here, however many sessions they have; `meta` is the one set last by a session that is here. */
export interface Member {
  user: string;
  meta: any;
  sessions: number;
}

/** "I have everything up to and including `seq` of the log named `epoch`." */
export interface Position {
  epoch: string;
  seq: number;
}

export interface SendResult extends Position {
  at: number;
  result?: any;
  duplicate?: true;
}

export interface ReadResult extends Position {
  state: any;
}

export interface HistoryResult {
  epoch: string;
  events: Event[];
  more: boolean;
}

/** An accepted op, in the order of `seq`. */
export interface Event {
  seq: number;
  at: number;
  /** The sender's user. */
  from: string;
  type: string;
  body: any;
  /** The body, which is null, was deleted. */
  deleted?: true;
  /** Chosen by the sender's client. */
  tag?: string;
  /** This client is the sender. */
  own?: true;
}

// -- Live states -----------------------------------------------------------------------------------------------------

export type Behaviour = "room" | "document";

export interface LiveOptions {
  /** Show one's own ops at once, and take back those that the server refuses (false). */
  optimistic?: boolean;
  /** Of rooms: how many messages are held, besides those that `loadEarlier` loads (200). */
  limit?: number;
}

/** `loading`: there is no state yet. `stale`: the connection is lost, or the state is being caught up. `closed`: for good. */
export type LiveStatus = "loading" | "live" | "stale" | "closed";

/** What is known at one moment. It never changes; the next one shares with it what is the same. */
export interface LiveSnapshot<State> {
  /** Undefined before the first. */
  readonly state: State | undefined;
  readonly status: LiveStatus;
  /** Why it is closed, when that was not asked for. */
  readonly error: GreenroomError | null;
  /** One's own ops that are not confirmed yet, in their order. */
  readonly pending: readonly LiveOp[];
}

/** One of one's own ops. */
export interface LiveOp {
  readonly type: string;
  readonly body: any;
  /** The same as the `key` of the message that it posts. */
  readonly key: string;
  readonly from: string;
  /** By this machine's clock. */
  readonly at: number;
  /** An earlier page left it. */
  readonly restored: boolean;
}

export interface LiveEvents<State> {
  /** The state changed. `events` are those that did it; there are none where one's own ops did, or a new beginning. */
  change: { state: State; previous: State | undefined; events: readonly Event[] };
  /** The server refused one of one's own ops, or its outcome cannot be known. The state is without it already. */
  rejected: { op: LiveOp; error: GreenroomError };
  /** It ended; the error when that was not asked for. */
  close: GreenroomError | null;
}

/**
 * The present state of one entity. Read `state` at any time; listen with `on` or `subscribe`, which are called once a turn at most,
 * or read states with `for await`.
 */
export interface Live<State> extends Listenable<LiveEvents<State>>, AsyncIterable<State> {
  readonly entity: string;
  readonly state: State | undefined;
  readonly status: LiveStatus;
  readonly error: GreenroomError | null;
  readonly pending: readonly LiveOp[];
  /** Up to where the confirmed part of the state has come. */
  readonly position: Position | null;
  /** Resolves at the first state; rejects when there will be none. */
  readonly ready: Promise<this>;
  /** The same object until something changes, as React's `useSyncExternalStore` wants it. */
  getSnapshot(): LiveSnapshot<State>;
  /** Calls `listener` after each change of what `getSnapshot` gives. The returned function ends that. */
  subscribe(listener: () => void): () => void;
  /** As `entity.send`. Where somebody listens to `rejected`, nobody has to catch it here. */
  send(type: OpType, body: any, options?: { ifSeq?: number }): Promise<SendResult>;
  /** Ends it. The last state stays; ops on their way go on. */
  close(): void;
  /** The latest state whenever it is asked. Leaving the loop closes the live state. */
  [Symbol.asyncIterator](): AsyncIterableIterator<State>;
}

/** A live document: its state is the document. */
export interface LiveDocument<State = any> extends Live<State> {}

export interface LiveRoom extends Live<RoomState> {
  /**
   * Loads `count` (50) earlier messages or somewhat more, as far as there are any.
   * @returns how many came
   */
  loadEarlier(count?: number): Promise<number>;
}

export interface RoomState {
  /** In the order of the log; one's own that are not confirmed come last. */
  readonly messages: readonly LiveMessage[];
  /** There are messages before the first one. */
  readonly hasEarlier: boolean;
}

export interface LiveMessage {
  /** Null until the message is confirmed. */
  readonly seq: number | null;
  /** Names the message as long as the live state lives, also over its confirmation: a key for lists. */
  readonly key: string;
  readonly at: number;
  readonly from: string;
  /** Null where the message was deleted. */
  readonly body: any;
  readonly edited_at?: number;
  readonly deleted?: true;
  /** Users by emoji. */
  readonly reactions?: Readonly<Record<string, readonly string[]>>;
  /** Some of it is not confirmed yet. */
  readonly pending?: true;
  /** An earlier page wrote it, and it is not confirmed yet. */
  readonly restored?: true;
}

// -- Subscriptions ---------------------------------------------------------------------------------------------------

export interface SubscribeOptions {
  /** What the app already has; without it the subscription starts with a snapshot. */
  after?: Position;
  events?: "replay" | "disconnect" | "none";
  signals?: "drop_oldest" | "latest" | "none";
  /** Receive presence items (false). */
  presence?: boolean;
  /** Items held for the async iterator (1000). */
  buffer?: number;
}

export interface SnapshotItem extends Position {
  kind: "snapshot";
  entity: string;
  snapshot: any;
  reason?: string;
}

/** The past cannot be continued: replace what you have. */
export interface ResetItem extends Position {
  kind: "reset";
  entity: string;
  snapshot: any;
  reason?: string;
}

export interface EventItem extends Event {
  kind: "event";
  entity: string;
}

export interface SignalItem {
  kind: "signal";
  entity: string;
  from: string;
  type: string;
  body: any;
  key?: string;
}

export interface PresenceItem {
  kind: "presence";
  entity: string;
  count: number;
  /** The whole list after the change; null where it is too long to be sent. */
  members: Member[] | null;
  joined: Member[];
  updated: Member[];
  left: string[];
}

export type Item = SnapshotItem | ResetItem | EventItem | SignalItem | PresenceItem;

export interface SubscriptionEvents {
  snapshot: SnapshotItem;
  reset: ResetItem;
  event: EventItem;
  signal: SignalItem;
  presence: PresenceItem;
  /** Any of the above. */
  item: Item;
  /** It ended; the error when that was not asked for. */
  close: GreenroomError | null;
}

/** What one part of an app sees of one entity: each event once, in order, over as many connections as it takes. */
export interface Subscription extends Listenable<SubscriptionEvents>, AsyncIterable<Item> {
  readonly entity: string;
  readonly options: SubscribeOptions;
  /** `pending`: not answered yet, or being resumed. */
  readonly state: "pending" | "live" | "closed";
  /** Everything up to here has been delivered. */
  readonly position: Position | null;
  /** Resolves at the first answer; rejects when the server refuses, or when it is closed before. */
  readonly ready: Promise<this>;
  /** Who is here, when `presence` was asked for: null when it is not known, or a crowd. */
  readonly members: Member[] | null;
  /** Ends it here, and at the server when nobody else on this page reads the entity. */
  close(): void;
  /** Leaving the loop closes the subscription. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Item>;
}

/** Named events. */
export interface Listenable<Events> {
  /** Calls `listener` at each `name`; the returned function ends that. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  once<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  off<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void;
}

// -- Errors ----------------------------------------------------------------------------------------------------------

/** What the server answers (`data.code` in docs/protocol.md). `unknown`: a code of a newer server; the message names it. */
export type ServerErrorCode =
  | "parse_error"
  | "invalid_request"
  | "method_not_found"
  | "invalid_params"
  | "internal"
  | "not_connected"
  | "unauthorized"
  | "token_expired"
  | "forbidden"
  | "unknown_kind"
  | "rejected"
  | "conflict"
  | "too_large"
  | "op_expired"
  | "rate_limited"
  | "overloaded"
  | "too_many_subscriptions"
  | "too_many_in_flight"
  | "unavailable"
  | "shutting_down"
  | "corrupt"
  | "unknown";

/** What the SDK finds itself. */
export type SdkErrorCode =
  | "closed"
  | "disconnected"
  | "timeout"
  | "queue_full"
  | "outcome_unknown"
  | "replaced"
  | "slow_consumer"
  | "storage_failed"
  | "invalid_argument";

export type ErrorCode = ServerErrorCode | SdkErrorCode;

export interface ErrorDetails {
  retryAfterMs?: number;
  seq?: number;
  reason?: string;
  rpcCode?: number;
  status?: number;
  op?: PendingOp;
  refused?: { method: string; entity?: string; count: number };
  cause?: unknown;
}

/** The one error type of the SDK. Branch on `code`. */
export declare class GreenroomError extends Error {
  constructor(code: ErrorCode, message: string, details?: ErrorDetails);
  code: ErrorCode;
  /** How long to wait before trying again, when the server said so. */
  retryAfterMs: number | undefined;
  /** With `conflict`: the entity's current seq. */
  seq: number | undefined;
  /** With `rejected`: why the behaviour refused. With `rate_limited`: which limit. With `storage_failed`: what went wrong. */
  reason: string | undefined;
  /** The JSON-RPC error number; absent for the SDK's own errors. */
  rpcCode: number | undefined;
  /** In the client's event `error`: the op of an earlier page that failed. */
  op: PendingOp | undefined;
  /** Why there is no connection: the HTTP status with which the server refused it, where that can be known. */
  status: number | undefined;
  /** In the client's event `error`: signals that the server refused, and their number. */
  refused: { method: string; entity?: string; count: number } | undefined;
}
