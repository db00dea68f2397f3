import { GreenroomError } from "../errors.js";
import { DocumentCore, RoomCore } from "./cores.js";
import { Live } from "./live.js";
import { LiveRoom } from "./liveroom.js";

/** How many messages a live room holds unless it is told otherwise. */
const LIMIT = 200;

/** The kinds that a server has without a configuration. @type {Map<string, string>} */
const BEHAVIOURS = new Map([["room", "room"], ["doc", "document"], ["document", "document"]]);

/**
 * @param {string} entity
 * @param {import("../../types/greenroom.js").LiveOptions & {behaviour?: string}} options
 * @param {import("./live.js").LiveParts} parts
 */
export function openLive(entity, { behaviour, optimistic = false, limit = LIMIT }, parts) {
  const [kind = ""] = entity.split(":", 1);
  const has = behaviour ?? BEHAVIOURS.get(kind);
  if (!(Number.isInteger(limit) && limit > 0)) throw invalid(`\`limit\` is ${limit}; it is a whole number above 0`);
  if (has === "room") return new LiveRoom(entity, new RoomCore(limit), parts, optimistic);
  if (has === "document") return new Live(entity, new DocumentCore(), parts, optimistic);
  if (has === undefined) throw invalid(`what the kind \`${kind}\` does is configured on the server; pass \`behaviour\`: "room" or "document"`);
  throw invalid(`\`${has}\` is not a behaviour that a live state knows; it is "room" or "document"`);
}

/** @param {string} message */
const invalid = (message) => new GreenroomError("invalid_argument", message);
