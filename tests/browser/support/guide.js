/** The code in docs/guides, as the files that a reader would make of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { BINARY, environment } from "./server.js";

const ROOT = new URL("../../../", import.meta.url).pathname;
const GUIDES = join(ROOT, "docs/guides");
// A snippet is a fence below one of these comments, which no reader sees.
const SNIPPET = /(?:<!-- (file|run|not run): (.+?) -->\n)?^```(\w*)\n(.*?)^```$/gms;

const used = new Set();

async function snippets(page) {
  const text = await readFile(join(GUIDES, page), "utf8");
  return [...text.matchAll(SNIPPET)].map(([, what, name, language, code]) => ({ page, what, name, language, code }));
}

/** The snippet of that name; from then on it counts as run. */
export async function snippet(page, name) {
  const found = (await snippets(page)).filter((one) => one.name === name);
  assert.equal(found.length, 1, `docs/guides/${page} has \`${name}\` ${found.length} times`);
  used.add(`${page}: ${name}`);
  return found[0].code;
}

/** The program in the README. */
export async function firstProgram() {
  const found = [...(await readFile(join(ROOT, "README.md"), "utf8")).matchAll(/^```js\n(.*?)^```$/gms)];
  assert.equal(found.length, 1);
  return found[0][1];
}

/** Those that no test has asked for, and those that do not say what they are. */
export async function unused() {
  const pages = (await readdir(GUIDES)).filter((name) => name.endsWith(".md"));
  const all = (await Promise.all(pages.map(snippets))).flat();
  return all.filter(({ page, what, name }) => what !== "not run" && !used.has(`${page}: ${name}`)).map(({ page, name, code }) => `${page}: ${name ?? code}`);
}

/** A reader's directory, in which the packages of the guides can be imported, and which is gone when the test is. */
export class Desk {
  static async make(t) {
    const desk = new Desk();
    desk.path = await mkdtemp(join(tmpdir(), "greenroom-guide-"));
    t.after(() => rm(desk.path, { recursive: true, force: true, maxRetries: 5 }));
    await mkdir(join(desk.path, "node_modules"));
    await symlink(join(ROOT, "client"), join(desk.path, "node_modules/greenroom"));
    await symlink(join(ROOT, "tests/node_modules/ws"), join(desk.path, "node_modules/ws"));
    await writeFile(join(desk.path, "package.json"), '{"type": "module"}');
    return desk;
  }

  /** Writes a file of a guide, under its own name, or the given text. */
  async put(page, name, change = (code) => code) {
    const code = change(await snippet(page, name));
    await mkdir(dirname(join(this.path, name)), { recursive: true });
    await writeFile(join(this.path, name), code);
    return code;
  }

  import(name) {
    return import(join(this.path, name));
  }

  /** The output of a command that must succeed; `greenroom` is the binary that is tested. */
  async run(command, ...args) {
    const [output, code] = await this.#finished(command, args);
    assert.equal(code, 0, output);
    return output;
  }

  /** A program that runs until the test ends, or until it is killed. */
  start(t, env, command, ...args) {
    const child = spawn(command, args, { cwd: this.path, env: { ...this.#environment(), ...env }, stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => child.kill("SIGKILL"));
    return child;
  }

  async #finished(command, args) {
    const child = spawn(command, args, { cwd: this.path, env: this.#environment(), stdio: ["ignore", "pipe", "inherit"] });
    const [chunks, [code]] = await Promise.all([child.stdout.toArray(), once(child, "exit")]);
    return [Buffer.concat(chunks).toString(), code];
  }

  #environment() {
    return { ...environment, PATH: `${dirname(BINARY)}${delimiter}${process.env.PATH}` };
  }
}
