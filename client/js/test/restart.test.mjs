// A server restarted under many clients: TEST_RESTART=5000 is their number, TEST_RESTART_OUT a file for the figures.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import os from "node:os";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { natsOf, startServer } from "./server.mjs";

const CLIENTS = Number(process.env.TEST_RESTART ?? 300);
const PROCESSES = CLIENTS > 1000 ? 5 : 2;
const RATE = CLIENTS > 1000 ? 600 : 150; // connections a second that the server admits
const PACE = CLIENTS > 1000 ? 1000 : 250; // ms between two messages
const WINDOW = CLIENTS > 1000 ? 15 : 6; // seconds

const config = `
[drain]
window = "${WINDOW}s"
duration = "${WINDOW / 3}s"
[limits]
connections_per_second = ${RATE}
max_connections_per_address = 0
[nats]
jetstream = true
[nats.embedded]
store_dir = "js"
[[topic]]
match = "ord.>"
mode = "all"
snapshot = "jetstream"
history = 10000
[[topic]]
match = "bare.>"
mode = "all"
history = 100
`;

const children = [];
after(() => children.forEach((child) => child.kill("SIGKILL")));

/** What all processes know, about the number of the next message. */
async function ask(next) {
  const parts = await Promise.all(
    children.map((child) => {
      child.send(next);
      return new Promise((resolve) => child.once("message", resolve));
    }),
  );
  const sum = (key) => parts.reduce((n, part) => n + part[key], 0);
  const join = (key) => parts.flatMap((part) => part[key]);
  return { all: parts.every(({ all }) => all), live: sum("live"), level: sum("level"), faults: join("faults"), lost: join("lost"), backAt: join("backAt"), others: join("others") };
}

const accepted = async (server) => {
  const text = await (await fetch(server.metrics)).text();
  return Number(/^tickcast_websockets_opened_total (\d+)/m.exec(text)?.[1] ?? assert.fail("no such metric"));
};

test("a server restarted under many clients", { timeout: 600_000 }, async (t) => {
  let server = await startServer(config);
  const nc = await natsOf(server);
  await (await nc.jetstreamManager()).streams.add({ name: "ORD", subjects: ["ord.>"], storage: "file" });
  const js = nc.jetstream();
  let next = 0;
  let stop = false;
  /** Stores numbers until stop is set, each once. */
  const publish = async () => {
    while (!stop) {
      const stored = await js.publish("ord.a", String(next), { msgID: String(next), timeout: 1000 }).catch(() => null);
      if (stored) next++;
      await new Promise((resolve) => setTimeout(resolve, PACE)); // a pace, not a wait
    }
  };
  for (let i = 0; i < PROCESSES; i++) {
    children.push(fork(fileURLToPath(new URL("restart-child.mjs", import.meta.url)), [server.stream, CLIENTS / PROCESSES, (0.7 * RATE) / PROCESSES]));
  }
  const patient = async (what, check) => {
    for (const end = Date.now() + 180_000; ; ) {
      const sum = await ask(next);
      if (await check(sum)) return sum;
      if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify({ ...sum, backAt: undefined, lost: undefined, others: sum.others.slice(0, 20) })}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await patient("all are there", ({ all, live }) => all && live === CLIENTS);
  const publishing = publish();
  await patient("messages reach all", ({ level }) => next > 2 && level === CLIENTS);

  const from = Date.now();
  await server.stop();
  const down = Date.now();
  server = await server.restart();
  const up = Date.now();
  // The admitted connections, a second each, of the server's own count.
  const rates = [];
  let at = Date.now();
  let count = await accepted(server);
  const back = await patient("all are back", async ({ live, backAt }) => {
    if (Date.now() - at > 1000) {
      const asked = Date.now(); // the count is of a time between this and the answer
      const now = await accepted(server);
      rates.push(Math.round(((now - count) * 1000) / (Date.now() - at)));
      [count, at] = [now, asked];
    }
    return live === CLIENTS && backAt.every((time) => time > from);
  });
  stop = true;
  await publishing;
  const end = await patient("each message reached all", ({ level }) => level === CLIENTS);
  assert.deepEqual(end.faults, [], "nothing is missing or doubled behind JetStream");
  for (const lost of end.lost) assert.equal(lost, "bare.x not recovered");
  const times = back.backAt.map((time) => time - from).sort((a, b) => a - b);
  const last = times.at(-1);
  const perSecond = new Map();
  for (const time of times) perSecond.set(Math.floor(time / 1000), (perSecond.get(Math.floor(time / 1000)) ?? 0) + 1);
  const figures = `clients                       ${CLIENTS} in ${PROCESSES} processes of Node.js ${process.version}
drain.window, drain.duration  ${WINDOW} s, ${WINDOW / 3} s
connections_per_second        ${RATE}
the server was away           from ${((down - from) / 1000).toFixed(1)} to ${((up - from) / 1000).toFixed(1)} s after the signal
back: first, median, 99 %, last  ${[times[0], times[times.length >> 1], times[Math.floor(times.length * 0.99)], last].map((ms) => (ms / 1000).toFixed(1)).join(", ")} s after the signal
back in each second           ${[...perSecond].map(([second, n]) => second + ": " + n).join("  ")}
admitted a second, at most    ${Math.max(...rates)} by the server's count
messages of ord.a             ${next}, each once and in order to all clients; lost on bare.x told once to all
`;
  t.diagnostic(figures);
  if (process.env.TEST_RESTART_OUT) {
    writeFileSync(
      process.env.TEST_RESTART_OUT,
      `TEST_RESTART=${CLIENTS} TEST_RESTART_OUT=... node --test client/js/test/restart.test.mjs: a server restarted under clients of client/js,
each with a topic behind JetStream and one of core NATS

machine: ${os.cpus().length} cores (${os.cpus()[0].model}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, the clients on the same machine; load average ${os.loadavg().map((n) => n.toFixed(0)).join(" ")}
when:    ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC

${figures}`,
    );
  }
  assert.ok(Math.max(...rates) <= RATE * 1.3, `${rates} connections a second`); // the count is read when the machine has time
  // A client whose time comes while the server is away waits for up to eight seconds more. The bound of a measurement is tighter: the
  // machine is its own.
  assert.ok(last <= (WINDOW + (process.env.TEST_RESTART ? 10 : 30)) * 1000, `the last client is back after ${last} ms`);
});
