/** A clock that stands still until it is told to go on, and dice that always show the same. */
export class FakeClock {
  #now = 1_000_000;
  #offset = 0;
  #timers = new Map();
  #next = 1;

  constructor(random = 0) {
    this.dice = random;
  }

  now = () => this.#now + this.#offset;
  monotonic = () => this.#now;
  random = () => this.dice;

  setTimeout = (run, ms) => {
    const handle = this.#next++;
    this.#timers.set(handle, { run, at: this.#now + ms });
    return handle;
  };

  clearTimeout = (handle) => void this.#timers.delete(handle);

  /** Sets the date forward, or back when `ms` is negative. No time passes. */
  step(ms) {
    this.#offset += ms;
  }

  /** How many timers are set. */
  get timers() {
    return this.#timers.size;
  }

  /** Lets `ms` pass; timers run in the order in which they are due. */
  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].run();
    }
    this.#now = end;
  }
}
