// Compiles only while the sources have what `types/greenroom.d.ts` promises.
import * as sdk from "../../greenroom.js";
import type { Entity as EntityClass } from "../../src/entity.js";
import type { SERVER_CODES } from "../../src/errors.js";
import type { DocumentCore } from "../../src/live/cores.js";
import type { Live as LiveClass } from "../../src/live/live.js";
import type { LiveRoom as LiveRoomClass } from "../../src/live/liveroom.js";
import type * as face from "../../types/greenroom.js";

// Every value that is declared is there, with a type that fits, and there are no others.
export const values: { [Name in keyof typeof face]: (typeof face)[Name] } = sdk;
export const declared: { [Name in keyof typeof sdk]: unknown } = {} as { [Name in keyof typeof face]: unknown };

// `live` promises more than its implementation says: which class it is follows from the behaviour.
export const room: face.LiveRoom = {} as LiveRoomClass;
export const document: face.LiveDocument = {} as LiveClass<DocumentCore>;
type Rest = Omit<face.Entity, "live" | "id">;
export const entity: Rest = {} as EntityClass;

// The codes that are known are those that are declared.
type Known = (typeof SERVER_CODES)[number];
type Declared = Exclude<face.ServerErrorCode, "unknown">;
export const known: Declared = {} as Known;
export const all: Known = {} as Declared;

// What is not for apps does not show.
// @ts-expect-error The clock is for tests.
export const options: face.ConnectOptions = { clock: null };
