/** The package as an app's tools see it: bundlers, and TypeScript with settings old and new. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const client = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const manifest = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
const run = promisify(execFile);

/** An app that has installed the package, as `npm pack` would make it. */
function app(t, { tsconfig, nodeTypes }) {
  const root = mkdtempSync(join(tmpdir(), "greenroom-app-"));
  t.after(() => rmSync(root, { recursive: true }));
  const installed = join(root, "node_modules/greenroom");
  mkdirSync(installed, { recursive: true });
  for (const name of ["package.json", ...manifest.files]) symlinkSync(join(client, name), join(installed, name));
  if (nodeTypes) {
    mkdirSync(join(root, "node_modules/@types"));
    symlinkSync(join(client, "node_modules/@types/node"), join(root, "node_modules/@types/node"));
    symlinkSync(join(client, "node_modules/undici-types"), join(root, "node_modules/undici-types"));
  }
  writeFileSync(
    join(root, "app.ts"),
    `import { connect, GreenroomError, type Item } from "greenroom";
export const client = connect({ url: "ws://127.0.0.1:8080/ws", token: async () => "x" });
export async function follow(): Promise<void> {
  const room = client.entity("room:lobby");
  for await (const item of room.subscribe({ presence: true })) show(item);
  const { seq }: { seq: number } = await room.send("post", { text: "hi" });
  client.on("error", (error: GreenroomError) => show(error.code + seq));
  await client.refresh();
}
function show(_what: Item | string): void {}
// @ts-expect-error The types are there: a number is not an entity id.
client.entity(1);
`,
  );
  writeFileSync(join(root, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = { strict: true, noEmit: true, target: "es2022", skipLibCheck: false, preserveSymlinks: true, ...tsconfig };
  writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["app.ts"] }));
  return root;
}

const dom = ["es2022", "dom", "dom.iterable"];
const settings = {
  "node10, with the browser's types": ["typescript-5", { module: "es2022", moduleResolution: "node10", lib: dom, types: [] }],
  "node10, with Node's types only": ["typescript-5", { module: "es2022", moduleResolution: "node10", lib: ["es2022"], types: ["node"] }],
  "nodenext, with Node's types only": ["typescript", { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"], types: ["node"] }],
  "nodenext, with no types but the language's": ["typescript", { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"], types: [] }],
  "bundler, with the browser's types": ["typescript", { module: "esnext", moduleResolution: "bundler", lib: dom, types: [] }],
};

for (const [name, [compiler, tsconfig]] of Object.entries(settings)) {
  test(`an app compiles with ${compiler} and ${name}`, async (t) => {
    const root = app(t, { tsconfig, nodeTypes: tsconfig.types.includes("node") });
    const tsc = join(client, "node_modules", compiler, "bin/tsc");
    await run(process.execPath, [tsc, "-p", root]).catch(({ stdout }) => assert.fail(stdout));
  });
}

test("tools that do not know `exports` find the module and its types", () => {
  for (const path of [manifest.main, manifest.types]) assert.ok(existsSync(join(client, path)), path);
  assert.equal(`./${manifest.main}`, manifest.exports["."].default);
  assert.equal(`./${manifest.types}`, manifest.exports["."].types);
});

test("Node resolves the package by its name, and its manifest", async () => {
  const require = createRequire(join(client, "greenroom.js"));
  assert.equal(require.resolve("greenroom/package.json"), join(client, "package.json"));
  assert.equal(await import("greenroom"), await import("../../greenroom.js"));
});
