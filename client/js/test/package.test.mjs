// The package as npm packs it: in a Node.js project, without a WebSocket, in a strict TypeScript project.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { natsOf, startServer, until } from "./server.mjs";

const home = fileURLToPath(new URL("..", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "tickcast-package-"));
after(() => rmSync(dir, { recursive: true, force: true }));

/** A project with the packed package, and ws if asked for. */
function project(name, ws) {
  const path = join(dir, name);
  mkdirSync(join(path, "node_modules"), { recursive: true });
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", path], { cwd: home }));
  execFileSync("tar", ["xzf", filename], { cwd: path });
  execFileSync("mv", ["package", "node_modules/tickcast"], { cwd: path });
  if (ws) symlinkSync(join(home, "node_modules/ws"), join(path, "node_modules/ws"));
  writeFileSync(join(path, "package.json"), '{ "type": "module" }');
  return path;
}

test("the example of a consumer reads every order once, over restarts of its own", async () => {
  const server = await startServer('[[topic]]\nmatch = "ord.>"\nmode = "all"\nhistory = 1000\nsubscribe = "always"\n');
  const nc = await natsOf(server);
  const path = project("consumer", true);
  copyFileSync(join(home, "../../examples/node/consumer.mjs"), join(path, "consumer.mjs"));
  let n = 0;
  const seen = [];
  for (let run = 0; run < 3; run++) {
    const child = spawn(process.execPath, ["consumer.mjs", server.stream], { cwd: path, stdio: ["ignore", "pipe", "inherit"] });
    let last; // s
    child.stdout.on("data", (text) => {
      for (const line of String(text).trim().split("\n")) {
        const [, s, d] = line.split(" ");
        last = s;
        seen.push(Number(d));
      }
    });
    if (run === 0) {
      await until(() => {
        if (!seen.length) nc.publish("ord.x", "-1"); // its interest is not known to be there
        return seen.includes(-1);
      });
    }
    for (let i = 0; i < 20; i++) nc.publish("ord.x", String(n++));
    await nc.flush();
    await until(() => seen.includes(n - 1));
    await until(() => readFileSync(join(path, "cursor.txt"), "utf8").endsWith(":" + last));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
    for (let i = 0; i < 20; i++) nc.publish("ord.x", String(n++)); // while it is away
    await nc.flush();
  }
  const orders = seen.filter((d) => d >= 0);
  assert.deepEqual(orders, Array.from({ length: n - 20 }, (_, i) => i));
});

test("without a WebSocket the error is clear", { skip: !!globalThis.WebSocket && "this Node.js has one" }, () => {
  const path = project("bare", false);
  writeFileSync(join(path, "main.mjs"), 'import { Tickcast } from "tickcast";\nnew Tickcast("ws://127.0.0.1:1/stream").subscribe("px.A", () => {});\n');
  const { status, stderr } = spawnSync(process.execPath, ["main.mjs"], { cwd: path, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /no WebSocket: npm install ws/);
});

test("strict TypeScript projects compile", () => {
  const path = project("strict", false);
  writeFileSync(
    join(path, "main.ts"),
    `import { Tickcast, TickcastError, covers, type Lost, type Message, type Status } from "tickcast";
const client = new Tickcast("wss://example.com/stream", { token: async () => "x", transports: ["ws", "sse"] });
client.on("lost", (lost: Lost) => lost.from?.length);
client.on("status", (status: Status) => status.retryAt?.toFixed());
client.on("error", (error) => (error instanceof TickcastError ? error.code + 1 : 0));
const stop: () => void = client.subscribe<{ b: number }>(["px.A"], (m: Message<{ b: number }>) => m.d.b + m.s, { rate: "1s" });
stop();
// @ts-expect-error no such event
client.on("nothing", () => {});
// @ts-expect-error a handler is needed
client.subscribe("px.A");
covers("px.*", "px.A") satisfies boolean;
`,
  );
  for (const module of ["nodenext", "esnext"]) {
    const args = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--noEmit", "--module", module, "--moduleResolution", module === "esnext" ? "bundler" : module];
    execFileSync(join(home, "node_modules/.bin/tsc"), [...args, "--target", "es2022", "--lib", "es2022,dom", "--types", "", "main.ts"], { cwd: path, stdio: "pipe", encoding: "utf8" });
  }
});
