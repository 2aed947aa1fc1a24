// Run with: node --test cmd/tickcast/web

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ClockOffset } from "./clock.js";
import { isFinal, retryDelay, timeWindow } from "./retry.js";
import { LatencyWindow, Meter, percentile } from "./stats.js";
import { Tickcast } from "./tickcast.js";
import { covers } from "./topics.js";
import { parseTopics, Watchlist } from "./watchlist.js";

// ---- pure parts

test("retryDelay", () => {
  const top = () => 1;
  const delays = [0, 1, 2, 5, 6, 1e6].map((attempt) => retryDelay({ code: 1006, attempt, random: top }).delay);
  assert.deepEqual(delays, [250, 500, 1000, 8000, 15000, 15000]);
  assert.equal(retryDelay({ code: 1006, attempt: 9, random: () => 0 }).delay, 0);
  assert.deepEqual(retryDelay({ code: 1012, attempt: 0, random: () => 0 }), { delay: 1000, bound: true });
  assert.deepEqual(retryDelay({ code: 1001, attempt: 0, random: top }), { delay: 15000, bound: true });
  const window = [1500, 42000];
  assert.deepEqual(retryDelay({ code: 1012, attempt: 0, window, random: () => 0.5 }), { delay: 21750, bound: true });
  const hidden = retryDelay({ code: 1006, attempt: 0, hidden: true, random: () => 0.5 });
  assert.deepEqual(hidden, { delay: 22500, bound: false });
});

test("close codes that are final", () => {
  const final = [1000, 1006, 1012, 4000, 4499, 4500, 4504, 4999, 5000].filter(isFinal);
  assert.deepEqual(final, [4500, 4504, 4999]);
});

test("timeWindow", () => {
  assert.deepEqual(timeWindow([1500, 42000]), [1500, 42000]);
  assert.deepEqual(timeWindow([0, 1e12]), [0, 600000]);
  for (const bad of [undefined, 7, [], [1], [-1, 5], [5, 1], ["a", "b"], [NaN, NaN]]) assert.equal(timeWindow(bad), null);
});

test("ClockOffset takes the quickest round trips", () => {
  const clock = new ClockOffset();
  assert.equal(clock.offset, null);
  clock.add(1000, 1100, 6050); // 100 ms there and back: offset 5000
  assert.equal(clock.offset, 5000);
  clock.add(2000, 2010, 7015); // ten times better: offset 5010
  clock.add(3000, 3500, 8490); // useless
  assert.equal(clock.offset, 5010);
  clock.add(4000, 4010.5, 9013.25); // as good: the mean of 5010 and 5008
  assert.equal(clock.offset, 5009);
  assert.equal(clock.roundTrip, 10);
  clock.add(5000, 4000, 9000); // the clock was set back
  assert.equal(clock.offset, 5009);
});

test("covers follows NATS", () => {
  const yes = ["px.A px.A", "px.* px.A", "px.> px.A", "px.> px.FX.EURUSD", "> px", "*.B px.B", "px.> px.FX.*", "px.> px.>", "* *"];
  const no = ["px.A px.B", "px.* px", "px.* px.A.B", "px.> px", "px px.A", "px.* px.>", "px.A px.*", "px.>.A px.>.B"];
  for (const pair of yes) assert.ok(covers(...pair.split(" ")), pair);
  for (const pair of no) assert.ok(!covers(...pair.split(" ")), pair);
});

test("percentile is the nearest rank", () => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  assert.equal(percentile(hundred, 50), 50);
  assert.equal(percentile(hundred, 99), 99);
  assert.equal(percentile(hundred, 100), 100);
  assert.equal(percentile([7], 50), 7);
  assert.equal(percentile([7], 99), 7);
});

test("LatencyWindow forgets what is old, and the oldest when it is full", () => {
  const window = new LatencyWindow({ span: 1000, capacity: 4 });
  assert.equal(window.summary(0), null);
  window.add(0, 100);
  window.add(900, 1);
  window.add(950, 3);
  assert.deepEqual(window.summary(1000), { p50: 3, p99: 100, count: 3 });
  assert.deepEqual(window.summary(1001), { p50: 1, p99: 3, count: 2 });
  for (let i = 0; i < 9; i++) window.add(1100, i);
  assert.deepEqual(window.summary(1100), { p50: 6, p99: 8, count: 4 });
  assert.equal(window.summary(9000), null);
});

test("Meter", () => {
  const meter = new Meter();
  for (let t = 0; t < 4000; t += 10) meter.add(t);
  assert.equal(Math.round(meter.rate(4000)), 100);
  assert.equal(meter.rate(60_000), 0);
});

test("parseTopics", () => {
  const topics = (text) => parseTopics(text).topics;
  assert.deepEqual(topics("AAPL"), ["px.AAPL"]);
  assert.deepEqual(topics(" aapl, msft px.NVDA "), ["px.AAPL", "px.MSFT", "px.NVDA"]);
  assert.deepEqual(topics("eurusd"), ["px.FX.EURUSD"]);
  assert.deepEqual(topics("fx.eurusd"), ["px.FX.EURUSD"]);
  assert.deepEqual(topics("FX.*"), ["px.FX.*"]);
  assert.deepEqual(topics("px.FX.*"), ["px.FX.*"]);
  assert.deepEqual(topics("news.sport"), ["news.sport"]);
  assert.deepEqual(topics("AAPL AAPL"), ["px.AAPL"]);
  assert.deepEqual(topics(""), []);
  for (const bad of ["a..b", ".", "px.", "px.>.x", "x".repeat(256), "a\u0000b"]) {
    assert.deepEqual(topics(bad), [], bad);
    assert.equal(parseTopics(bad).refused.length, 1, bad);
  }
});

test("Watchlist reads the hash, else the storage, else the default, and writes back what it can read", () => {
  const storage = new Map();
  storage.getItem = (k) => storage.get(k) ?? null;
  storage.setItem = (k, v) => storage.set(k, v);
  const list = new Watchlist({ hash: "", storage });
  assert.equal(list.isDefault, true);
  assert.ok(list.topics.includes("px.AAPL"));
  list.replace(["px.AAPL", "px.FX.*", "news.a,b", "px.test"]);
  assert.deepEqual(new Watchlist({ hash: "", storage }).topics, list.topics);
  assert.deepEqual(new Watchlist({ hash: list.hash, storage: null }).topics, list.topics);
  assert.deepEqual(new Watchlist({ hash: "#AAPL,FX.%3E", storage }).topics, ["px.AAPL", "px.FX.>"]);
  assert.equal(new Watchlist({ hash: "#%E0%A4%A", storage }).isDefault, false);
  list.replace([]);
  assert.deepEqual(new Watchlist({ hash: "", storage }).topics, []);
});

// ---- the client, with time and sockets of our own

let time; // ms
let timers;
let sockets;

class FakeSocket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [], closed: false });
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  says(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  ends(code, reason = "") {
    this.onclose?.({ code, reason });
  }
  commands(op) {
    return this.sent.filter((c) => c.op === op);
  }
}

globalThis.setTimeout = (f, delay) => {
  timers.push({ f, at: time + Math.max(0, delay) });
  return timers.at(-1);
};
globalThis.clearTimeout = (timer) => {
  timers = timers.filter((t) => t !== timer);
};
globalThis.performance.now = () => time;

// Lets time pass, timer by timer. answer, if set, says something after each.
function pass(ms, answer) {
  const end = time + ms;
  for (;;) {
    const next = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
    if (!next) break;
    time = Math.max(time, next.at);
    clearTimeout(next);
    next.f();
    answer?.();
  }
  time = end;
}

function start(options = {}) {
  const client = new Tickcast({ url: "ws://test/stream", WebSocket: FakeSocket, random: () => 0.5, ...options });
  client.states = [];
  client.onstate = ({ state }) => state !== client.states.at(-1) && client.states.push(state);
  client.subscribe(["px.A", "px.FX.*"]);
  client.connect();
  return client;
}

function live(heartbeat = 15000) {
  const socket = sockets.at(-1);
  socket.onopen();
  socket.says({ op: "hello", v: 1, node: "n", heartbeat, limits: {} });
  return socket;
}

beforeEach(() => {
  time = 1_000_000;
  timers = [];
  sockets = [];
});

test("subscribes when it is open, and again after a reconnect", () => {
  const client = start();
  assert.deepEqual(sockets[0].protocols, ["tickcast.v1.json"]);
  const socket = live();
  assert.deepEqual(socket.commands("sub").map((c) => c.topics), [["px.A", "px.FX.*"]]);
  client.subscribe(["px.B"]);
  client.unsubscribe(["px.A"]);
  assert.deepEqual(socket.commands("unsub").map((c) => c.topics), [["px.A"]]);
  pass(20_000, () => socket.says({ op: "hb" }));
  socket.ends(1006);
  assert.equal(client.status.state, "offline");
  assert.equal(Math.round(client.status.retryAt - Date.now()), 125); // half of 250 ms
  pass(125);
  assert.deepEqual(live().commands("sub").map((c) => c.topics), [["px.FX.*", "px.B"]]);
  assert.deepEqual(client.states, ["connecting", "live", "offline", "connecting", "live"]);
});

test("backs off while the server is away or sends it away at once", () => {
  start();
  const waits = [];
  for (let i = 0; i < 9; i++) {
    const before = time;
    const n = sockets.length;
    if (i % 2) live();
    sockets.at(-1).ends(1006);
    while (sockets.length === n) pass(5);
    waits.push(time - before);
  }
  assert.deepEqual(waits, [125, 250, 500, 1000, 2000, 4000, 7500, 7500, 7500]);
});

test("does not come back after 4500 to 4999, until it is told to", () => {
  const client = start();
  live().ends(4503, "kicked");
  pass(1e9);
  assert.equal(sockets.length, 1);
  const { state, retryAt, code, reason } = client.status;
  assert.deepEqual({ state, retryAt, code, reason }, { state: "offline", retryAt: null, code: 4503, reason: "kicked" });
  client.connect();
  assert.equal(sockets.length, 2);
});

test("after 4001 it waits until there is something to subscribe to", () => {
  const client = start();
  const socket = live();
  client.unsubscribe(["px.A", "px.FX.*"]);
  socket.ends(4001);
  pass(1e9);
  assert.equal(sockets.length, 1);
  client.subscribe(["px.B"]);
  assert.deepEqual(live().commands("sub").map((c) => c.topics), [["px.B"]]);
  client.unsubscribe(["px.B"]);
  client.subscribe(["px.C"]);
  assert.equal(sockets.length, 2);
});

test("comes back when a draining server wants it", () => {
  const client = start();
  const socket = live();
  socket.says({ op: "drain", after: [10_000, 50_000] });
  socket.ends(1012);
  pass(29_000);
  assert.equal(sockets.length, 1);
  pass(1_000);
  assert.equal(sockets.length, 2);
  assert.equal(client.status.state, "connecting");
});

test("gives up a silent server after two and a half heartbeats", () => {
  const client = start();
  const socket = live(2000);
  pass(4_000);
  socket.says({ op: "hb", ts: 1 });
  pass(4_999);
  assert.equal(client.status.state, "live");
  pass(1);
  assert.equal(client.status.state, "offline");
  assert.ok(socket.closed);
  socket.says({ op: "hello" }); // too late
  assert.equal(client.status.state, "offline");
});

test("after a sleep it asks before it gives up", () => {
  const client = start();
  const socket = live(2000);
  socket.says({ op: "hb" });
  time += 3_600_000; // no timer ran meanwhile
  pass(0);
  assert.equal(client.status.state, "live");
  pass(4_000);
  socket.says({ op: "hb" });
  pass(4_000);
  assert.equal(client.status.state, "live");
  time += 3_600_000;
  pass(5_000);
  assert.equal(client.status.state, "offline");
});

test("a server without heartbeats is pinged before it is given up", () => {
  const client = start();
  const socket = live(0);
  pass(120_000, () => {
    const ping = socket.commands("ping").at(-1);
    if (ping) socket.says({ op: "ack", id: ping.id, ts: 1 });
  });
  assert.equal(client.status.state, "live");
  pass(60_000);
  assert.notEqual(client.status.state, "live");
});

test("knows the server's clock", () => {
  const client = start();
  const socket = live();
  assert.equal(client.now(), null);
  pass(0);
  const [ping] = socket.commands("ping");
  time += 40;
  const ours = performance.timeOrigin + time;
  socket.says({ op: "ack", id: ping.id, ts: ours - 20 + 7_000 });
  assert.equal(Math.round(client.now() - ours), 7_000);
  assert.equal(client.roundTrip, 40);
});

test("a server without pings is none to complain about", () => {
  const client = start();
  const errors = [];
  client.onerror = (e) => errors.push(e);
  const socket = live();
  pass(0);
  socket.says({ op: "err", id: socket.commands("ping")[0].id, code: 104, msg: "unknown op" });
  pass(30_000, () => socket.says({ op: "hb" }));
  assert.equal(socket.commands("ping").length, 1);
  assert.deepEqual(errors, []);
});

test("stale and fresh", () => {
  const client = start();
  const socket = live();
  socket.says({ op: "stale", topics: ["px.>", "news.>"], why: "upstream disconnected" });
  assert.deepEqual(client.status.stale, ["px.>", "news.>"]);
  socket.says({ op: "fresh", topics: ["px.>"] });
  assert.equal(client.status.state, "stale");
  socket.says({ op: "fresh", topics: [">"] });
  assert.equal(client.status.state, "live");
  assert.deepEqual(client.states, ["connecting", "live", "stale", "live"]);
});

test("delivers data, acks, refusals and notices, and skips what it cannot read", () => {
  const client = start();
  const seen = [];
  client.ondata = (m) => seen.push(m.d);
  client.onerror = ({ topic, code }) => seen.push([topic, code]);
  client.onack = ({ id }) => seen.push(id);
  client.onnotice = ({ op }) => seen.push(op);
  const socket = live();
  socket.onmessage({ data: "not JSON" });
  socket.says(null);
  socket.says(7);
  socket.says({ op: "from the future" });
  socket.says({ t: "px.A", s: 1, d: { l: 1 } });
  socket.says({ op: "ack", id: 1, topics: [], errors: [{ t: "adm.x", code: 103, msg: "permission denied" }] });
  socket.says({ op: "err", code: 107, msg: "bad request" });
  assert.deepEqual(seen, ["hello", "from the future", { l: 1 }, 1, ["adm.x", 103], [undefined, 107]]);
});

test("lossless topics resume with their cursor", () => {
  start().subscribe(["news.x"]);
  const socket = live();
  socket.says({ op: "ack", id: 1, topics: [{ t: "news.x", mode: "all", cursor: "k3:17" }, { t: "px.A", mode: "last", cursor: "k3:9" }] });
  socket.says({ t: "news.x", s: 18, p: 17, d: 1 });
  socket.ends(4003);
  pass(1000);
  const subs = live().commands("sub").map(({ topics, after }) => ({ topics, after }));
  assert.deepEqual(subs, [{ topics: ["news.x"], after: "k3:18" }, { topics: ["px.A", "px.FX.*"], after: undefined }]);
});

test("requests wait for a connection, are answered, refused or lost", async () => {
  const client = start();
  const answers = [1, 2, 3].map((n) => client.request({ op: "list", n }));
  const lost = assert.rejects(answers[2], /connection lost/);
  const refused = assert.rejects(answers[1], { code: 103 });
  sockets[0].ends(1006); // before it was open: nothing is lost
  pass(1000);
  const socket = live();
  const ids = socket.commands("list").map((c) => c.id);
  assert.equal(ids.length, 3);
  socket.says({ op: "ack", id: ids[0], list: [] });
  socket.says({ op: "err", id: ids[1], code: 103, msg: "permission denied" });
  socket.ends(1006);
  assert.deepEqual(await answers[0], { op: "ack", id: ids[0], list: [] });
  await refused;
  await lost;
  for (let i = 0; i < 256; i++) client.request({ op: "list" }).catch(() => {});
  await assert.rejects(client.request({ op: "list" }), /too many/);
  client.close();
});

test("many topics go in several commands of bounded size", () => {
  const client = start();
  const socket = live();
  const many = Array.from({ length: 1000 }, (_, i) => `px.${"LONG".repeat(10)}${i}`);
  client.subscribe(many);
  const subs = socket.commands("sub").slice(1);
  assert.ok(subs.length > 1);
  assert.deepEqual(subs.flatMap((c) => c.topics), many);
  for (const c of subs) assert.ok(JSON.stringify(c).length < 16_384);
});

test("a handshake without an answer is given up", () => {
  const client = start();
  pass(10_000);
  assert.equal(client.status.state, "offline");
  assert.ok(sockets[0].closed);
});

test("closed is closed", () => {
  const client = start();
  live();
  client.close();
  pass(1e9);
  assert.equal(sockets.length, 1);
  assert.equal(timers.length, 0);
});
