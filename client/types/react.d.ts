/** React hooks for Greenroom. The guide is docs/client.md. */
import type { ReactElement, ReactNode } from "react";
import type { Behaviour, Client, Entity, GreenroomError, LiveOp, LiveOptions, LiveSnapshot, Member, OpType, RoomState, SendResult } from "./greenroom.js";

/** Gives all components below it a client. Whoever made the client closes it. */
export declare function GreenroomProvider(props: { client: Client; children?: ReactNode }): ReactElement;

/** The client that `GreenroomProvider` gives. */
export declare function useClient(): Client;

export interface UseEntityOptions extends LiveOptions {
  /** Called for each of the user's ops on this entity that the server refused. Without it, catch what `send` returns. */
  onRejected?: (op: LiveOp, error: GreenroomError) => void;
}

export interface LiveEntity<State> extends LiveSnapshot<State> {
  readonly entity: Entity;
  /** As `entity.send`; the same function at each render. */
  readonly send: (type: OpType, body: any, options?: { ifSeq?: number }) => Promise<SendResult>;
}

export interface LiveRoomEntity extends LiveEntity<RoomState> {
  /** As `loadEarlier` of a live room; the same function at each render. */
  readonly loadEarlier: (count?: number) => Promise<number>;
}

type Rooms = `room:${string}`;
type Documents = `doc:${string}` | `document:${string}`;

/**
 * The live state of an entity, for as long as the component is mounted. Components that ask for the same share it.
 *
 * @example
 * const { state, send } = useEntity("room:lobby", { optimistic: true });
 */
export declare function useEntity(id: Rooms, options?: UseEntityOptions & { behaviour?: "room" }): LiveRoomEntity;
export declare function useEntity<State = any>(id: Documents, options?: UseEntityOptions & { behaviour?: "document" }): LiveEntity<State>;
export declare function useEntity(id: string, options: UseEntityOptions & { behaviour: "room" }): LiveRoomEntity;
export declare function useEntity<State = any>(id: string, options: UseEntityOptions & { behaviour: "document" }): LiveEntity<State>;
export declare function useEntity(id: string, options?: UseEntityOptions & { behaviour?: Behaviour }): LiveEntity<any>;

export interface PresenceState {
  /** Null until it is known, and in a crowd. */
  readonly members: readonly Member[] | null;
  readonly count: number;
  readonly error: GreenroomError | null;
}

/**
 * Who is here. With `me`, a JSON object of at most 1 KiB, the user is here as that while the component is mounted.
 *
 * @example
 * const { members } = usePresence("room:lobby", { name: "Ann" });
 */
export declare function usePresence(id: string, me?: object): PresenceState;
