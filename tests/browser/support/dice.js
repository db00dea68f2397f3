/** Chance that can be had again: the same seed gives the same choices. */
export class Dice {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1): mulberry32. */
  roll() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count) {
    return Math.floor(this.roll() * count);
  }

  of(choices) {
    return choices[this.below(choices.length)];
  }

  /** A seed that is printed, so that a failure can be repeated with `SEED=…`. */
  static seed(t) {
    const seed = Number(process.env.SEED) || Math.floor(Math.random() * 2 ** 32);
    t.diagnostic(`SEED=${seed}`);
    return seed;
  }
}
