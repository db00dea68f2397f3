/** An app of somebody's own, with the package installed from the tarball that `npm publish` would upload. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const tests = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const client = join(dirname(tests), "client");

export class Project {
  /** @param {string[]} needs packages besides `greenroom` */
  static async create(t, needs) {
    const project = new Project();
    project.root = await mkdtemp(join(tmpdir(), "greenroom-project-"));
    t.after(() => rm(project.root, { recursive: true }));
    await project.write("package.json", JSON.stringify({ private: true, type: "module" }));
    const modules = join(project.root, "node_modules");
    await mkdir(join(modules, "greenroom"), { recursive: true });
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", project.root], { cwd: client });
    const [{ filename, files }] = JSON.parse(stdout);
    project.files = files.map(({ path }) => path);
    await run("tar", ["-xzf", filename, "--strip-components=1", "-C", "node_modules/greenroom"], { cwd: project.root });
    for (const name of needs) await symlink(join(tests, "node_modules", name), join(modules, name));
    return project;
  }

  write(name, text) {
    return writeFile(join(this.root, name), text);
  }

  read(name) {
    return readFile(join(this.root, name), "utf8");
  }

  /** Copies a directory of the repository into it. */
  copy(directory) {
    return cp(directory, this.root, { recursive: true });
  }

  /** Runs Node here, and gives back what it printed. */
  async node(...args) {
    const { stdout } = await run(process.execPath, args, { cwd: this.root });
    return stdout;
  }
}
