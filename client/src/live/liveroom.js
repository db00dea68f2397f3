import { GreenroomError } from "../errors.js";
import { Live } from "./live.js";

const PAGE = 200;

/**
 * A live room: its latest messages, and earlier ones on demand.
 * @extends {Live<import("./cores.js").RoomCore>}
 */
export class LiveRoom extends Live {
  /** @type {Promise<number> | null} */
  #loading = null;

  /**
   * Loads `count` earlier messages and some, as far as there are any. They stay until the state is replaced (a `reset`), or newer
   * messages push them out.
   * @param {number} [count]
   * @returns {Promise<number>} how many came
   */
  loadEarlier(count = 50) {
    if (!(count > 0)) return Promise.reject(new GreenroomError("invalid_argument", `\`${count}\` messages cannot be loaded; ask for 1 or more`));
    return (this.#loading ??= this.#load(count).finally(() => (this.#loading = null)));
  }

  /** @param {number} count */
  async #load(count) {
    await this.ready;
    const { core, parts } = this;
    let loaded = 0;
    try {
      while (loaded < count && core.confirmed?.hasEarlier && this.position) {
        const { epoch, seq } = this.position;
        const walk = core.walk(seq);
        const page = await parts.history({ before: walk.before, limit: PAGE });
        const added = page.epoch === epoch ? core.prepend(walk, page) : null;
        if (added === null) break;
        loaded += added;
      }
      return loaded;
    } finally {
      core.endWalk();
      this.touched();
    }
  }
}
