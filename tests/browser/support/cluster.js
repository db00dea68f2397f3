/** `make cluster` without a terminal: three nodes, NATS and a database. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { environment } from "./server.js";

const SCRIPT = fileURLToPath(new URL("../../../.ci/cluster.py", import.meta.url));
/** The ports that the script uses, behind the one that it is given. */
const PORTS = [1, 2, 3, 11, 12, 13, 20, 21];

export class Cluster {
  /** The process of the node that owns `room:lobby`. */
  owner;
  /** The pages of the others. */
  others;

  /** A cluster that is gone, with its data, when the test is. */
  static async start(t) {
    const directory = await mkdtemp(join(tmpdir(), "greenroom-cluster-"));
    const args = [SCRIPT, "--port", await freePorts(), "--data", join(directory, "data"), "--restart-after", "600"];
    const child = spawn("python3", args, { env: environment, stdio: ["ignore", "pipe", "inherit"] });
    t.after(async () => {
      child.kill("SIGINT");
      if (child.exitCode === null) await once(child, "exit");
      await rm(directory, { recursive: true, force: true });
    });
    const cluster = new Cluster();
    const nodes = new Map();
    for await (const line of createInterface(child.stdout)) {
      const [, pid, page] = /^ {2}node-\d +pid (\d+) +(http\S+)/.exec(line) ?? [];
      if (pid) nodes.set(Number(pid), page);
      const [, victim] = /^ {2}kill +kill -9 (\d+) /.exec(line) ?? [];
      if (victim) {
        cluster.owner = Number(victim);
        cluster.others = [...nodes].filter(([process]) => process !== cluster.owner).map(([, url]) => url);
        child.stdout.resume();
        return cluster;
      }
    }
    throw new Error("the cluster did not start");
  }
}

/** A port behind which those are free that the script needs. */
async function freePorts() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if ((await Promise.all(PORTS.map((offset) => isFree(port + offset)))).every(Boolean)) return String(port);
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
