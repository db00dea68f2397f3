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

const APP = `import { connect, GreenroomError, type ErrorCode, type Item, type LiveRoom } from "greenroom";
export const client = connect({ url: "ws://127.0.0.1:8080/ws", token: async () => "x" });
export async function follow(): Promise<void> {
  const room = client.entity("room:lobby");
  for await (const item of room.subscribe({ presence: true })) show(item);
  const { seq }: { seq: number } = await room.send("post", { text: "hi" });
  client.on("error", (error: GreenroomError) => show(error.code + seq));
  await client.refresh();
}
function show(_what: Item | string): void {}

interface Plan { title: string; likes: number }
export async function live(name: string): Promise<void> {
  const room: LiveRoom = client.entity(\`room:\${name}\`).live({ optimistic: true });
  for await (const { messages, hasEarlier } of room) show(messages.map(({ key }) => key).join() + String(hasEarlier));
  const plan = client.entity("doc:plan").live<Plan>();
  plan.on("change", ({ state }) => show(state.title));
  plan.on("rejected", ({ op, error }) => show(op.key + error.code));
  client.entity("board:1").live({ behaviour: "room" }).loadEarlier(10);
  // @ts-expect-error A document has no earlier messages.
  client.entity("doc:plan").live().loadEarlier();
  // @ts-expect-error There is no state before the first.
  plan.state.title;
  // @ts-expect-error A state is not changed in place.
  plan.on("change", () => (room.state!.messages[0]!.key = "x"));
}

export function retries(code: ErrorCode): boolean {
  switch (code) {
    case "overloaded": case "unavailable": return true;
    // @ts-expect-error A code that does not exist.
    case "overlaoded": return true;
    default: return false;
  }
}
// @ts-expect-error The types are there: a number is not an entity id.
client.entity(1);
// @ts-expect-error How a client is made up inside is nobody's business.
client.entity("room:x").calls;
`;

const REACT_APP = `import { createElement, type ReactElement } from "react";
import { connect } from "greenroom";
import { GreenroomProvider, useEntity, usePresence } from "greenroom/react";
export function Room(): ReactElement {
  const { state, status, send, loadEarlier } = useEntity("room:lobby", { optimistic: true, onRejected: (op, error) => console.log(op.type, error.code) });
  const { members } = usePresence("room:lobby", { name: "Ann" });
  const plan = useEntity<{ title: string }>("doc:plan");
  // @ts-expect-error A document has no earlier messages.
  plan.loadEarlier;
  const onClick = () => void send("post", { text: plan.state?.title }).then(() => loadEarlier());
  return createElement("button", { onClick }, status, state?.messages.length, members?.length);
}
export const app = createElement(GreenroomProvider, { client: connect() }, createElement(Room));
`;

/** An app that has installed the package, as `npm pack` would make it. */
function app(t, { tsconfig, packages, files }) {
  const root = mkdtempSync(join(tmpdir(), "greenroom-app-"));
  t.after(() => rmSync(root, { recursive: true }));
  const installed = join(root, "node_modules/greenroom");
  mkdirSync(installed, { recursive: true });
  for (const name of ["package.json", ...manifest.files]) symlinkSync(join(client, name), join(installed, name));
  mkdirSync(join(root, "node_modules/@types"));
  for (const name of packages) symlinkSync(join(client, "node_modules", name), join(root, "node_modules", name));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  writeFileSync(join(root, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = { strict: true, noEmit: true, target: "es2022", skipLibCheck: false, preserveSymlinks: true, ...tsconfig };
  writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ compilerOptions, files: Object.keys(files) }));
  return root;
}

const dom = ["es2022", "dom", "dom.iterable"];
const settings = {
  "node10, with the browser's types": ["typescript-5", { module: "es2022", moduleResolution: "node10", lib: dom, types: [] }],
  "node10, with Node's types only": ["typescript-5", { module: "es2022", moduleResolution: "node10", lib: ["es2022"], types: ["node"] }],
  "node16, with the browser's types": ["typescript-5", { module: "node16", moduleResolution: "node16", lib: dom, types: [] }],
  "nodenext, with Node's types only": ["typescript", { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"], types: ["node"] }],
  "nodenext, with no types but the language's": ["typescript", { module: "nodenext", moduleResolution: "nodenext", lib: ["es2022"], types: [] }],
  "bundler, with the browser's types": ["typescript", { module: "esnext", moduleResolution: "bundler", lib: dom, types: [] }],
};

/** Compiles the app, and one with React where the browser's types are there. */
for (const [name, [compiler, tsconfig]] of Object.entries(settings)) {
  test(`an app compiles with ${compiler} and ${name}`, async (t) => {
    const react = tsconfig.lib === dom;
    const packages = [...(tsconfig.types.includes("node") ? ["@types/node", "undici-types"] : []), ...(react ? ["@types/react", "csstype"] : [])];
    const root = app(t, { tsconfig, packages, files: { "app.ts": APP, ...(react && { "react-app.ts": REACT_APP }) } });
    const tsc = join(client, "node_modules", compiler, "bin/tsc");
    await run(process.execPath, [tsc, "-p", root]).catch(({ stdout }) => assert.fail(stdout));
  });
}

test("tools that do not know `exports` find the module and its types", () => {
  for (const path of [manifest.main, manifest.types]) assert.ok(existsSync(join(client, path)), path);
  assert.equal(`./${manifest.main}`, manifest.exports["."].default);
  assert.equal(`./${manifest.types}`, manifest.exports["."].types);
  // As `greenroom/react`.
  assert.ok(existsSync(join(client, "react.js")));
  assert.equal(`./${manifest.typesVersions["*"].react[0]}`, manifest.exports["./react"].types);
});

test("Node resolves the package by its name, and its manifest", async () => {
  const require = createRequire(join(client, "greenroom.js"));
  assert.equal(require.resolve("greenroom/package.json"), join(client, "package.json"));
  assert.equal(await import("greenroom"), await import("../../greenroom.js"));
});
