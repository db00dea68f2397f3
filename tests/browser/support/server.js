/** Starts the real binary on free ports, in a directory of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.SERVER_BIN ?? join(homedir(), ".cache/greenroom/target/release/greenroom");
const START_MS = 60_000;
// Tests are in more of a hurry than people; limits have tests of their own.
const LIMITS = ["requests", "bytes", "user_requests", "anonymous_requests", "user_wakes", "address_wakes"].map((name) => `${name}_per_second = 100000000\n${name}_burst = 100000000\n`).join("");
const SECRET = "0123456789abcdef0123456789abcdef";

// The developer's own settings must not change what is tested.
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GREENROOM_")));

export class Server {
  #listen = "127.0.0.1:0";
  #process;
  /** Besides those that every server here gets. */
  #args = [];

  /** A running server that is gone, with its data, when the test is. */
  static async start(t, config = "", { limits = LIMITS, args = [] } = {}) {
    const server = new Server();
    server.#args = args;
    server.directory = await mkdtemp(join(tmpdir(), "greenroom-test-"));
    await writeFile(join(server.directory, "greenroom.toml"), `[auth]\nsecret = "${SECRET}"\nanonymous = true\nleeway = "0s"\n[limits]\n${limits}${config}`);
    t.after(async () => {
      if (server.running) await server.kill();
      await rm(server.directory, { recursive: true });
    });
    await server.start();
    return server;
  }

  get running() {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Once more after `kill` or `terminate`, at the same address and with the same data. */
  async start() {
    const log = await open(join(this.directory, "server.log"), "a");
    const args = ["serve", "--listen", this.#listen, "--metrics-listen", "", "--store", "surrealkv://./data", ...this.#args];
    const child = (this.#process = spawn(BINARY, args, { cwd: this.directory, env: environment, stdio: ["ignore", "pipe", log.fd] }));
    const [watchdog, lines] = [setTimeout(() => child.kill("SIGKILL"), START_MS), createInterface(child.stdout)];
    try {
      await once(child, "spawn");
      // The line about the store is the last, and comes when it listens.
      for await (const line of lines) {
        const [, name, value] = /^ {2}(\w+) +(\S+)$/.exec(line) ?? [];
        if (name === "open") this.page = value;
        if (name === "socket") this.url = value;
        if (name === "store") {
          this.#listen = new URL(this.page).host;
          return this;
        }
      }
    } finally {
      clearTimeout(watchdog);
      child.stdout.resume();
      await log.close();
    }
    throw new Error(`the server did not start:\n${await readFile(join(this.directory, "server.log"), "utf8")}`);
  }

  /** As when the power goes, for this process at least. */
  kill() {
    return this.#end("SIGKILL");
  }

  /** Asks it to stop; gives back the exit code. */
  terminate() {
    return this.#end("SIGTERM");
  }

  async token(user, ttl = "1h") {
    const child = spawn(BINARY, ["token", "--sub", user, "--ttl", ttl, "--secret", SECRET], { env: environment, stdio: ["ignore", "pipe", "inherit"] });
    const chunks = await child.stdout.toArray();
    return Buffer.concat(chunks).toString().trim();
  }

  async #end(signal) {
    const exited = once(this.#process, "exit");
    this.#process.kill(signal);
    const [code] = await exited;
    return code;
  }
}
