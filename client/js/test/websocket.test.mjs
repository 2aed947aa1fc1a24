// The client over WebSockets, in Node.js with npm's ws.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TickcastError } from "../dist/tickcast.js";
import { startProxy } from "./proxy.mjs";
import { PATIENCE, client, live, natsOf, startServer, takes, tokenOf, until, warm } from "./server.mjs";

const LOSSLESS = `
[publish]
topics = ["chat.>"]
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
[[topic]]
match = "chat.>"
mode = "all"
history = 1000
[[topic]]
match = "bare.>"
mode = "all"
`;

const JETSTREAM = `
[nats]
jetstream = true
[nats.embedded]
store_dir = "js"
[limits]
max_topics_per_connection = 400
[[topic]]
match = "ord.>"
mode = "all"
snapshot = "jetstream"
history = 100
`;

describe("subscriptions", async () => {
  const server = await startServer(LOSSLESS);
  const nc = await natsOf(server);

  test("a handler for each topic; a string is one topic; patterns and topics overlap", async () => {
    const c = client(server.stream);
    const seen = { one: [], all: [] };
    const hot = new Set();
    c.subscribe("px.B", (m) => (m.d === "warm" ? hot.add("one") : seen.one.push(m.d)));
    c.subscribe(["px.*"], (m) => (m.d === "warm" ? hot.add(m.t) : seen.all.push(m.t + m.d)));
    await live(c, "px.B", "px.*");
    assert.deepEqual(c.heard.error, []);
    await until(() => {
      for (const t of ["px.B", "px.C"]) nc.publish(t, '"warm"');
      return hot.has("one") && hot.has("px.C");
    });
    nc.publish("px.B", "1");
    nc.publish("px.C", "2");
    await until(() => seen.all.length === 2);
    assert.deepEqual(seen, { one: [1], all: ["px.B1", "px.C2"] });
    const { topics } = await c.request({ op: "list" });
    assert.deepEqual(topics.map(({ t }) => t).sort(), ["px.*", "px.B"]);
    c.unsubscribe("px.*");
    await until(async () => (await c.request({ op: "list" })).topics.length === 1);
    nc.publish("px.B", "3");
    await until(() => seen.one.includes(3));
    nc.publish("px.C", "4");
    nc.publish("px.B", "5");
    await until(() => seen.one.includes(5));
    assert.deepEqual(seen, { one: [1, 3, 5], all: ["px.B1", "px.C2"] });
    assert.equal(c.state("px.C"), "none");
  });

  test("a later handler gets the newest messages; the last one to leave unsubscribes", async () => {
    const c = client(server.stream);
    const first = [];
    const hot = new Set();
    const stop = c.subscribe("ord.*", (m) => (m.d === "warm" ? hot.add(m.t) : first.push(m)));
    await live(c, "ord.*");
    await until(() => {
      for (const t of ["ord.A", "ord.B"]) nc.publish(t, '"warm"');
      return hot.size === 2;
    });
    nc.publish("ord.A", "1");
    nc.publish("ord.A", "2");
    nc.publish("ord.B", "3");
    await until(() => first.length === 3);
    const second = [];
    const stopSecond = c.subscribe("ord.*", (m) => second.push([m.t, m.d, m.k]));
    await until(() => second.length === 2);
    assert.deepEqual(second, [["ord.A", 2, "snap"], ["ord.B", 3, "snap"]]);
    stop();
    nc.publish("ord.A", "4");
    await until(() => second.length === 3);
    assert.equal(first.length, 3);
    stopSecond();
    await until(() => c.state("ord.*") === "none");
    assert.equal((await c.request({ op: "list" })).topics.length, 0);
  });

  test("gone and back within a turn stays subscribed", async () => {
    const c = client(server.stream);
    const seen = [];
    c.subscribe("twice", () => {})();
    c.subscribe("twice", (m) => seen.push(m.d));
    await live(c, "twice");
    c.unsubscribe("twice");
    c.subscribe("twice", (m) => seen.push(m.d));
    await until(() => {
      nc.publish("twice", "1");
      return seen.length > 0;
    });
  });

  test("refused topics are typed errors, and the others go on", async () => {
    const c = client(server.stream);
    c.subscribe(["$SYS.x", "px.D"], () => {});
    await live(c, "px.D");
    const [error] = await until(() => c.heard.error.length && c.heard.error);
    assert.ok(error instanceof TickcastError && error instanceof Error);
    assert.deepEqual([error.code, error.topic, error.retry], [103, "$SYS.x", false]);
    await until(() => c.state("$SYS.x") === "refused");
  });

  test("publishes; a refusal rejects", async () => {
    const c = client(server.stream);
    const seen = [];
    c.subscribe("chat.a", (m) => m.d === "warm" || seen.push(m.d));
    await live(c, "chat.a");
    await warm(c, nc, "chat.a");
    await c.publish("chat.a", { text: "hi" });
    await until(() => seen.length === 1);
    assert.deepEqual(seen, [{ text: "hi" }]);
    await assert.rejects(c.publish("px.A", 1), { name: "TickcastError", code: 103 });
    await assert.rejects(c.request({ op: "nonsense" }), { code: 104 });
  });

  test("a handler that throws keeps nothing from the others", async () => {
    const c = client(server.stream);
    const seen = [];
    let thrown = 0;
    const uncaught = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", () => thrown++);
    c.subscribe("bad", () => {
      throw new Error("on purpose");
    });
    c.subscribe("bad", (m) => seen.push(m.d));
    await live(c, "bad");
    await until(() => {
      nc.publish("bad", "1");
      return seen.length > 1 && thrown > 1;
    });
    c.close(); // more of them may be under way
    process.removeAllListeners("uncaughtException");
    for (const f of uncaught) process.on("uncaughtException", f);
  });

  test("more topics than one command may hold are split by the server's limits", async () => {
    const c = client(server.stream);
    const topics = Array.from({ length: 1000 }, (_, i) => "ü".repeat(100) + i);
    c.subscribe(topics, () => {});
    await live(c, ...topics);
    assert.deepEqual(c.heard.error, []);
    const before = c.heard.status.filter((s) => s.state === "connecting").length;
    assert.equal(before, 1, JSON.stringify(c.heard.status));
  });
});

const cursors = await startServer();
const skip = !(await takes(cursors, { op: "sub", topics: ["a"], after: { a: "b:1" } })) && "this server knows no cursors by topic";
await cursors.stop();

describe("resuming", { skip }, async () => {
  const server = await startServer(LOSSLESS);
  const nc = await natsOf(server);

  // Everything comes once, over cuts at any time, by topic, by pattern and by both.
  for (const [name, topics] of Object.entries({ topic: ["ord.x"], pattern: ["ord.>"], both: ["ord.x", "ord.*"], many: ["ord.x", "chat.x", "ord.y.z"] })) {
    test("nothing is lost or doubled over cuts: " + name, async () => {
      const proxy = await startProxy(server.stream);
      const c = client(proxy.url);
      const seen = [];
      const names = ["ord.x", "chat.x", "ord.y.z"];
      for (const topic of topics) c.subscribe(topic, (m) => m.k || m.d === "warm" || seen.push([topic, m.t, m.d]));
      await live(c, ...topics);
      await warm(c, nc, ...names);
      let n = 0;
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 50; i++) nc.publish(names[n % 3], String(n++));
        await nc.flush();
        if (round === 3) break;
        if (round > 0) await until(() => seen.length > 0);
        proxy.cut();
        for (let i = 0; i < 50; i++) nc.publish(names[n % 3], String(n++));
        await nc.flush();
        await until(() => c.status.state === "offline");
        c.connect();
        await live(c, ...topics);
      }
      const { covers } = await import("../dist/tickcast.js");
      const want = topics.map((topic) => Array.from({ length: n }, (_, i) => i).filter((i) => covers(topic, names[i % 3])));
      await until(() => seen.length >= want.flat().length, `${seen.length} of ${want.flat().length}`);
      topics.forEach((topic, i) => assert.deepEqual(seen.filter(([key]) => key === topic).map(([, , d]) => d), want[i], topic));
      assert.deepEqual(c.heard.lost, []);
    });
  }

  test("a cursor that the application kept", async () => {
    const one = client(server.stream);
    const seen = [];
    one.subscribe("ord.kept", (m) => m.d === "warm" || seen.push(m.d));
    await live(one, "ord.kept");
    await warm(one, nc, "ord.kept");
    nc.publish("ord.kept", "1");
    await until(() => seen.length === 1);
    const after = one.cursor("ord.kept");
    one.close();
    nc.publish("ord.kept", "2");
    await nc.flush();
    const two = client(server.stream);
    two.subscribe("ord.kept", (m) => seen.push(m.d), { after });
    await until(() => seen.length === 2);
    assert.deepEqual(seen, [1, 2]);
    const three = client(server.stream);
    three.subscribe("ord.kept", () => {}, { after: "another:5" });
    await live(three, "ord.kept");
    assert.deepEqual(three.heard.lost, [{ topic: "ord.kept", from: "another:5", why: "not recovered" }]);
  });

  test("a class without history and a pattern without cursor: the loss is told", async () => {
    const proxy = await startProxy(server.stream);
    const c = client(proxy.url);
    const seen = [];
    c.subscribe(["bare.x", "bare.>", ">", "px.A"], (m) => m.t === "bare.x" && seen.push(m));
    await live(c, "bare.x", "bare.>", ">", "px.A");
    await until(() => {
      nc.publish("bare.x", "1");
      return seen.length > 2;
    });
    assert.deepEqual(c.heard.lost, []);
    const other = client(server.stream); // which sees that the server has it
    let passed = false;
    other.subscribe("bare.x", (m) => (passed ||= m.d === 2));
    await live(other, "bare.x");
    proxy.refuse = () => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    proxy.cut();
    await until(() => c.status.state === "offline");
    nc.publish("bare.x", "2");
    await until(() => passed);
    proxy.refuse = null;
    c.connect();
    await live(c, "bare.x", "bare.>", ">", "px.A");
    const lost = c.heard.lost.map(({ topic, from, why }) => [topic, !!from, why]);
    assert.deepEqual(lost.sort(), [[">", false, "no cursor"], ["bare.>", false, "no cursor"], ["bare.x", true, "not recovered"]]);
  });

  test("a loss that nobody listens to is an uncaught error", async () => {
    const script = `
      import { Tickcast } from ${JSON.stringify(new URL("../dist/tickcast.js", import.meta.url).href)};
      new Tickcast(process.argv[1]).subscribe("ord.x", () => {}, { after: "another:5" });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, server.stream], { cwd: new URL(".", import.meta.url) });
    let said = "";
    child.stderr.on("data", (text) => (said += text));
    const code = await new Promise((resolve) => child.on("exit", resolve));
    assert.equal(code, 1);
    assert.match(said, /ord\.x lost messages after another:5: not recovered/);
  });
});

describe("restarts", { skip }, () => {
  test("300 JetStream topics come back and resume without loss", async () => {
    let server = await startServer(JETSTREAM);
    const nc = await natsOf(server);
    const jsm = await nc.jetstreamManager();
    await jsm.streams.add({ name: "ORD", subjects: ["ord.>"], storage: "file" });
    const topics = Array.from({ length: 300 }, (_, i) => "ord." + i);
    const c = client(server.stream);
    const seen = new Map(topics.map((t) => [t, []]));
    c.subscribe(topics, (m) => m.k || seen.get(m.t).push(m.d));
    await live(c, ...topics);
    const js = nc.jetstream();
    for (let i = 0; i < 2; i++) await Promise.all(topics.map((t) => js.publish(t, String(i))));
    await until(() => topics.every((t) => seen.get(t).length === 2));
    await server.stop();
    server = await server.restart();
    await until(async () => nc.info && js.publish(topics[0], "2", { msgID: "2" }).catch(() => false)); // stored once, whatever the answer
    await Promise.all(topics.slice(1).map((t) => js.publish(t, "2", { timeout: PATIENCE })));
    await until(() => c.heard.status.some((status) => status.state === "offline"));
    c.connect();
    await live(c, ...topics);
    await until(() => topics.every((t) => seen.get(t).length >= 3));
    for (const t of topics) assert.deepEqual(seen.get(t), [0, 1, 2], t);
    assert.deepEqual(c.heard.lost, []);
  });

  test("on core NATS a restart is a loss, told once for each topic", async () => {
    let server = await startServer(LOSSLESS);
    const c = client(server.stream);
    c.subscribe(["ord.a", "ord.>", "px.A"], () => {});
    await live(c, "ord.a", "ord.>", "px.A");
    await server.stop("SIGKILL");
    server = await server.restart();
    await until(() => c.heard.status.some((status) => status.state === "offline"));
    c.connect();
    await live(c, "ord.a", "ord.>", "px.A");
    assert.deepEqual(c.heard.lost.map(({ topic }) => topic), ["ord.a", "ord.>"]);
  });

  test("topics beyond a limit are tried again", async () => {
    const server = await startServer("[limits]\nmax_topics_per_connection = 2\n");
    const c = client(server.stream);
    c.subscribe(["a", "b", "c"], () => {});
    await until(() => c.heard.error.length === 1);
    const [error] = c.heard.error;
    assert.deepEqual([error.code, error.topic, error.retry], [106, "c", true]);
    assert.equal(c.state("c"), "waiting");
    c.unsubscribe("a");
    await live(c, "c");
  });

  test("clients of a killed server come back spread over half a second to two", async () => {
    const server = await startServer();
    const clients = Array.from({ length: 200 }, () => client(server.stream));
    for (const c of clients) c.subscribe("px.A", () => {});
    for (const c of clients) await live(c, "px.A");
    const waits = [];
    for (const c of clients) {
      const stop = c.on("status", ({ state, retryAt }) => {
        if (state === "offline") waits.push(retryAt - Date.now());
        stop();
      });
    }
    await server.stop("SIGKILL");
    await until(() => waits.length === clients.length);
    assert.ok(Math.min(...waits) >= 400, `the first after ${Math.min(...waits)} ms`);
    for (let from = 0; from < 2500; from += 100) {
      const n = waits.filter((w) => w >= from && w < from + 100).length;
      assert.ok(n <= 40, `${n} of 200 between ${from} and ${from + 100} ms`);
    }
  });

  test("a refused connection is a state, not the end of the process", async () => {
    const free = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => free.on("listening", resolve));
    const { port } = free.address();
    await new Promise((resolve) => free.close(resolve));
    const c = client(`ws://127.0.0.1:${port}/stream`);
    c.subscribe("px.A", () => {});
    await until(() => c.heard.status.filter((s) => s.state === "offline").length >= 2);
    assert.equal(c.state("px.A"), "waiting");
    assert.ok(c.status.retryAt === null || c.status.retryAt > Date.now() - 1000);
    c.close();
    assert.equal(c.status.state, "offline");
  });
});

describe("life signs", () => {
  const QUICK = '[connection]\nheartbeat = "1s"\n';

  test("a server that says nothing is given up after two and a half heartbeats", async () => {
    const server = await startServer(QUICK);
    const c = client(server.stream);
    c.subscribe("px.A", () => {});
    await live(c, "px.A");
    server.child.kill("SIGSTOP");
    const from = performance.now();
    await until(() => c.status.state === "offline");
    const quiet = performance.now() - from;
    assert.ok(quiet > 900 && quiet < PATIENCE / 2, `after ${quiet} ms`);
    assert.equal(c.status.reason, "silence");
    assert.equal(c.state("px.A"), "waiting");
    server.child.kill("SIGCONT");
    await live(c, "px.A");
  });

  test("a client that the server calls idle comes back if it is not", async () => {
    const server = await startServer('[limits]\nfirst_message_timeout = "1s"\n');
    const idle = client(server.stream);
    idle.connect();
    await until(() => idle.status.code === 4001);
    assert.equal(idle.status.retryAt, null);
    idle.subscribe("px.A", () => {});
    await live(idle, "px.A");
    const proxy = await startProxy(server.stream);
    proxy.deaf = true;
    const c = client(proxy.url);
    c.subscribe("px.A", () => {});
    await until(() => c.heard.status.some(({ code }) => code === 4001));
    proxy.deaf = false;
    await live(c, "px.A");
  });

  test("a client that slept asks before it gives up", async () => {
    const server = await startServer('[connection]\nheartbeat = "2s"\n');
    const script = `
      import { Tickcast } from ${JSON.stringify(new URL("../dist/tickcast.js", import.meta.url).href)};
      const c = new Tickcast(process.argv[1]);
      c.on("status", (s) => console.log(s.state));
      c.subscribe("px.A", (m) => console.log(m.d));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, server.stream], { cwd: new URL(".", import.meta.url) });
    let said = "";
    child.stdout.on("data", (text) => (said += text));
    const nc = await natsOf(server);
    await until(() => said.includes("live"));
    child.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 6000)); // a sleep of the machine, not a wait
    child.kill("SIGCONT");
    await until(() => {
      nc.publish("px.A", '"awake"');
      return said.includes("awake");
    });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    child.kill("SIGKILL");
    assert.ok(!said.includes("offline"), said);
  });

  test("a new token in time; topics that it does not cover are refused", async () => {
    const dir = mkdtempSync(join(tmpdir(), "tickcast-token-"));
    const secret = join(dir, "secret");
    writeFileSync(secret, "0123456789abcdef0123456789abcdef");
    const server = await startServer(`[auth]\nsecret = ${JSON.stringify(secret)}\nnotice = "8s"\ngrace = "8s"\nleeway = "0s"\n`);
    let asked = 0;
    const c = client(server.stream, { token: () => (asked++ ? tokenOf(secret, 3600, "sec.>") : tokenOf(secret, 12, "sec.>", "old.>")) });
    c.subscribe(["sec.a", "old.a"], () => {});
    await until(() => c.state("old.a") === "refused");
    assert.ok(c.heard.topic.some(({ topic, state }) => topic === "old.a" && state === "live"), "it was live before");
    rmSync(dir, { recursive: true });
    assert.deepEqual(c.heard.error.map(({ code, topic, retry }) => [code, topic, retry]), [[103, "old.a", false]]);
    assert.equal(c.state("sec.a"), "live");
    assert.equal(asked, 2);
    assert.equal(c.heard.status.filter(({ state }) => state === "connecting").length, 1);
  });

  test("NATS away, and a topic's own silence", async () => {
    const upstream = await startServer();
    const server = await startServer('[[topic]]\nmatch = "quiet.>"\nstale_after = "300ms"\n', { nats: "", env: { TICKCAST_NATS_URLS: upstream.nats, TICKCAST_NATS_RECONNECT_WAIT: "100ms" } });
    const nc = await natsOf(upstream);
    const c = client(server.stream);
    c.subscribe(["quiet.a", "px.*"], () => {});
    await live(c, "px.*"); // the server has reached NATS: before that all is stale
    await until(() => c.state("quiet.a") === "stale");
    await live(c, "px.*");
    assert.equal(c.status.state, "stale");
    await upstream.stop("SIGKILL");
    await until(() => c.state("px.*") === "stale");
    assert.equal(c.state("px.A"), "stale");
    await upstream.restart();
    await live(c, "px.*");
    assert.equal(c.state("quiet.a"), "stale", "its silence goes on");
    await until(() => {
      nc.publish("quiet.a", "1");
      return c.state("quiet.a") === "live";
    });
  });
});
