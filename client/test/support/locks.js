/** Web Locks as a browser has them, for pages that are made and crashed by tests. */
export class Locks {
  /** @type {Map<string, {page: object, free: () => void}>} */
  #held = new Map();
  #waiting = [];

  /** What one page sees as `navigator.locks`; `crash` is the page's end. */
  page() {
    const page = {
      request: (name, options, run) => this.#request(page, name, options, run),
      crash: () => {
        for (const [name, holder] of [...this.#held]) if (holder.page === page) this.#free(name);
      },
    };
    return page;
  }

  get names() {
    return [...this.#held.keys()];
  }

  async #request(page, name, { ifAvailable, signal }, run) {
    if (this.#held.has(name)) {
      if (ifAvailable) return run(null);
      await new Promise((resolve, reject) => {
        const entry = { name, resolve };
        this.#waiting.push(entry);
        signal?.addEventListener("abort", () => {
          this.#waiting = this.#waiting.filter((other) => other !== entry);
          reject(signal.reason);
        });
      });
    }
    const holder = { page };
    this.#held.set(name, holder);
    try {
      return await run({ name });
    } finally {
      if (this.#held.get(name) === holder) this.#free(name);
    }
  }

  #free(name) {
    this.#held.delete(name);
    const next = this.#waiting.findIndex((entry) => entry.name === name);
    if (next >= 0) this.#waiting.splice(next, 1)[0].resolve();
  }
}
