// Fails when `types/` is not what the sources say. Run it as `npm run types:check`; `npm run types`
// puts it right.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const client = dirname(dirname(fileURLToPath(import.meta.url)));

/** @param {string} root */
const contents = (root) =>
  new Map(
    readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".d.ts"))
      .map((name) => [name, readFileSync(join(root, name), "utf8")]),
  );

const fresh = mkdtempSync(join(tmpdir(), "greenroom-types-"));
try {
  execFileSync(process.execPath, [join(client, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.types.json", "--outDir", fresh], { cwd: client, stdio: "inherit" });
  const [want, have] = [contents(fresh), contents(join(client, "types"))];
  const stale = [...new Set([...want.keys(), ...have.keys()])].filter((name) => want.get(name) !== have.get(name));
  if (want.size === 0 || stale.length > 0) {
    console.error(`types/ is out of date (${stale.join(", ")}): run \`npm run types\``);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
