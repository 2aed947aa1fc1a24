// Real servers for the tests: tickcast processes on free ports, with an embedded NATS server each.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { connect as connectNATS } from "nats";
import { Tickcast } from "../dist/tickcast.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
let binary = process.env.TEST_SERVER;

export const PATIENCE = 30_000; // ms for what must come

const ends = []; // of what the tests of this file started
after(async () => {
  for (const end of ends.reverse()) await end();
});

/** A free address below the ports that the kernel gives to others, so that nobody takes it while its server is away. */
async function freeAddress() {
  for (;;) {
    const probe = net.createServer();
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise((resolve) => probe.on("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return "127.0.0.1:" + port;
  }
}

/** Starts a server with a TOML configuration; listen and nats keep addresses over a restart. */
export async function startServer(config = "", { listen, nats, dir, env = {} } = {}) {
  listen ??= await freeAddress();
  nats ??= await freeAddress();
  if (!binary) {
    binary = join(root, "bin/tickcast");
    execFileSync("go", ["build", "-trimpath", "-o", binary, "./cmd/tickcast"], { cwd: root, env: { ...process.env, CGO_ENABLED: "0" }, stdio: "inherit" });
  }
  if (!dir) {
    dir = mkdtempSync(join(tmpdir(), "tickcast-js-"));
    ends.push(() => rmSync(dir, { recursive: true, force: true }));
  }
  writeFileSync(join(dir, "config.toml"), config);
  const child = spawn(binary, ["-config", "config.toml"], {
    cwd: dir,
    env: { ...process.env, TICKCAST_SERVER_LISTEN: listen, TICKCAST_SERVER_INTERNAL_LISTEN: "127.0.0.1:0", TICKCAST_NATS_EMBEDDED_LISTEN: nats, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const server = {
    child,
    dir,
    log: () => log,
    /** Ends it, by default as an operator does. */
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGCONT");
      child.kill(signal);
      await ended;
    },
    /** Another server in its place, after stop. */
    restart: (changed = config) => startServer(changed, { listen: new URL(server.stream).host, nats: server.nats?.replace("nats://", "") ?? nats, dir, env }),
  };
  for await (const line of createInterface(child.stdout)) {
    const [, key, value] = /^tickcast: (\w+) +(\S+)/.exec(line) ?? [];
    if (key) server[key] = value;
    if (key === (nats ? "nats" : "metrics")) break; // the last line
  }
  assert.ok(server.metrics, "the server did not start:\n" + log);
  child.stdout.resume();
  ends.push(() => server.stop("SIGKILL"));
  return server;
}

/** A connection to a server's NATS, closed at the end of the file. */
export async function natsOf(server) {
  const nc = await connectNATS({ servers: server.nats, reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  ends.push(() => nc.close());
  return nc;
}

/** A token of a user for topics, by the secret in a file. */
export const tokenOf = (secret, seconds, ...topics) =>
  execFileSync(binary, ["token", "-key", secret, "-user", "ann", "-for", seconds + "s", "-subscribe", topics.join()], { encoding: "utf8" }).trim();

/** A client that notes all that it hears, closed at the end of the file. */
export function client(url, options = {}) {
  const c = new Tickcast(url, options);
  ends.push(() => c.close());
  c.heard = { status: [], topic: [], lost: [], error: [], lag: [], notice: [] };
  for (const name of Object.keys(c.heard)) c.on(name, (event) => c.heard[name].push(event));
  return c;
}

/** Waits until check returns a truthy value, looking again at each of the client's events and messages and, since a test
 *  may wait for others, every few milliseconds. */
export async function until(check, what = String(check)) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) assert.fail("in vain: " + what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const live = (c, ...topics) => until(() => topics.every((t) => c.state(t) === "live"), `${topics.slice(0, 3)} live`);

/** Waits until what NATS gets on these topics reaches the client: an ack does not promise that. The messages are "warm". */
export async function warm(c, nc, ...topics) {
  const left = new Set(topics);
  const stop = c.subscribe(topics, (m) => m.d === "warm" && left.delete(m.t));
  await until(() => {
    for (const t of left) nc.publish(t, '"warm"');
    return !left.size;
  });
  stop();
}

/** Whether the server can do something, asked by a command. */
export async function takes(server, command) {
  const c = client(server.stream);
  try {
    await c.request(command);
    return true;
  } catch {
    return false;
  } finally {
    c.close();
  }
}
