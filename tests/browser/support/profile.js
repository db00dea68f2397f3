/** A Chromium with a profile on disk, that can be killed and started again like anybody's browser. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { ARGUMENTS, PATIENCE_MS } from "./browser.js";

const START_MS = 60_000;

export class Profile {
  /** Where screenshots go. */
  shots;
  #directory;
  #process;
  #browser;

  static async start(t) {
    const profile = new Profile();
    profile.#directory = await mkdtemp(join(tmpdir(), "greenroom-profile-"));
    profile.shots = await mkdtemp(join(tmpdir(), "greenroom-screenshots-"));
    t.diagnostic(`screenshots: ${profile.shots}`);
    t.after(async () => {
      await profile.kill();
      // Its helpers may still be at their last writes.
      await rm(profile.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    });
    await profile.start();
    return profile;
  }

  /** Once more after `kill`, with the same profile. */
  async start() {
    const args = [...ARGUMENTS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${this.#directory}`, "about:blank"];
    // A group of its own, so that all of its processes can go at once.
    const child = (this.#process = spawn(process.env.CHROMIUM || "/usr/bin/chromium", args, { detached: true, stdio: ["ignore", "ignore", "pipe"] }));
    const watchdog = setTimeout(() => process.kill(-child.pid, "SIGKILL"), START_MS);
    try {
      await once(child, "spawn");
      const said = [];
      for await (const line of createInterface(child.stderr)) {
        said.push(line);
        const [, endpoint] = /^DevTools listening on (ws:\S+)$/.exec(line) ?? [];
        if (!endpoint) continue;
        this.#browser = await chromium.connectOverCDP(endpoint);
        return;
      }
      throw new Error(`the browser did not start:\n${said.join("\n")}`);
    } finally {
      clearTimeout(watchdog);
      child.stderr.resume();
    }
  }

  /** A tab. All tabs share the profile's storage. */
  async tab(url) {
    const page = await this.#browser.contexts()[0].newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(url);
    return page;
  }

  /** `kill -9` for all of its processes. */
  async kill() {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    process.kill(-child.pid, "SIGKILL");
    await exited;
  }
}
