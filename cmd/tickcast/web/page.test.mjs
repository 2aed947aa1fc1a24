// Run with: node --test cmd/tickcast/web/page.test.mjs

import assert from "node:assert/strict";
import { test } from "node:test";

import { Access, splitFragment } from "./access.js";
import { extent, layout } from "./chart.js";
import { ConnectionAccount, duration, staleText } from "./connection.js";
import { History, Track, pieces, readingAt, stops } from "./history.js";
import { amount, price, readPayload } from "./quote.js";
import { priceRange, priceTicks, timeTicks } from "./scale.js";
import { KnownTopics, isMeant, neighbours } from "./search.js";
import { LatencyWindow, Meter, percentile } from "./stats.js";
import { Theme } from "./theme.js";
import { parseTopics, Watchlist } from "./watchlist.js";

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

test("splitFragment takes the token out of the address", () => {
  assert.deepEqual(splitFragment(""), { token: null, hash: "" });
  assert.deepEqual(splitFragment("#AAPL,FX.*"), { token: null, hash: "#AAPL,FX.*" });
  assert.deepEqual(splitFragment("#token=e.y.J"), { token: "e.y.J", hash: "" });
  assert.deepEqual(splitFragment("#token=e.y.J&AAPL,MSFT"), { token: "e.y.J", hash: "#AAPL,MSFT" });
  assert.deepEqual(splitFragment("#token="), { token: "", hash: "" });
});

test("Access keeps the token in the storage of the tab, where there is one", () => {
  const storage = new Map();
  storage.getItem = (k) => storage.get(k) ?? null;
  storage.setItem = (k, v) => storage.set(k, v);
  storage.removeItem = (k) => storage.delete(k);
  const access = new Access(storage);
  assert.equal(access.token, "");
  access.replace(" e.y.J\n");
  assert.equal(new Access(storage).token, "e.y.J");
  access.replace("");
  assert.equal(storage.size, 0);
  const forbidden = new Access({ getItem() { throw new Error("forbidden"); }, setItem() { throw new Error("forbidden"); } });
  forbidden.replace("e.y.J");
  assert.equal(forbidden.token, "e.y.J");
  assert.equal(new Access(null).token, "");
});

// ---- the history and the chart

const T = 1_800_000_000_000; // some time
const at = (track) => Array.from({ length: track.length }, (_, i) => [track.time(i) - T, track.last(i)]);

test("Track joins values that follow closely, and keeps their last, lowest and highest", () => {
  const track = new Track(500, false);
  for (const [t, v] of [[0, 5], [100, 9], [499, 7], [500, 6]]) track.push(T + t, v, false);
  assert.deepEqual(at(track), [[0, 7], [500, 6]]);
  assert.deepEqual([track.low(0), track.high(0), track.low(1), track.high(1)], [5, 9, 6, 6]);
  track.push(T + 501, 1, true);
  assert.equal(track.length, 3);
  assert.deepEqual([-1, 0, 499, 500, 501, 9_999].map((t) => track.indexAt(T + t)), [-1, 0, 0, 1, 2, 2]);
});

test("a full Track forgets its oldest points, or thins them and keeps the extremes", () => {
  const recent = new Track(1, false);
  const all = new Track(1, true);
  for (let i = 0; i < 100_000; i++) for (const track of [recent, all]) track.push(T + i, i === 50_000 ? 1e9 : i % 7, false);
  assert.ok(recent.length <= 720 && recent.length > 600);
  assert.equal(recent.time(recent.length - 1), T + 99_999);
  assert.ok(all.length <= 720 && all.length > 300);
  assert.equal(all.time(0), T);
  assert.equal(extent(all, T, T + 100_000).high, 1e9);
  for (let i = 1; i < all.length; i++) assert.ok(all.time(i) > all.time(i - 1));
});

// The lines of a history between two times, as [times of its points, until].
const lines = (history, from, to) => {
  const track = history.trackSince(T + from);
  const round = (t) => Math.round(t - T);
  return pieces(track, history.marks, T + from, T + to).map(({ first, last, until }) => [Array.from({ length: last - first + 1 }, (_, i) => round(track.time(first + i))), round(until)]);
};

test("a line is not drawn over a time that was stale or offline, nor over lost messages", () => {
  const history = new History();
  history.setState(T, "offline"); // nothing to interrupt yet
  history.setState(T + 10, "");
  for (const t of [1_000, 2_000]) history.push(T + t, t);
  assert.deepEqual(lines(history, 0, 5_000), [[[1_000, 2_000], 5_000]]);
  history.setState(T + 3_000, "stale");
  assert.deepEqual(lines(history, 0, 5_000), [[[1_000, 2_000], 3_000]]);
  history.setState(T + 4_000, "");
  assert.deepEqual(lines(history, 0, 5_000), [[[1_000, 2_000], 3_000]], "fresh is not a price");
  assert.deepEqual(lines(history, 4_500, 5_000), [[[2_000], 3_000]], "the mark may be before the window");
  for (const t of [6_000, 7_000]) history.push(T + t, t);
  history.addGap(T + 7_000); // in the millisecond of the price before it, and of the one behind it
  history.addGap(T + 7_000); // told twice
  history.push(T + 7_000, 8);
  history.push(T + 9_000, 9);
  assert.deepEqual(lines(history, 0, 9_500), [[[1_000, 2_000], 3_000], [[6_000, 7_000], 7_000], [[7_000, 9_000], 9_500]]);
  assert.deepEqual(history.marks.map(({ kind }) => kind), ["stale", "gap"]);
});

test("a gap while a topic is stale keeps both marks, and prices of that time are points", () => {
  const history = new History();
  history.setState(T, "stale");
  history.push(T + 1_000, 1); // a snapshot of a server without a feed
  history.addGap(T + 1_500);
  history.push(T + 2_000, 2);
  history.setState(T + 3_000, "offline");
  history.setState(T + 4_000, "");
  history.push(T + 5_000, 3);
  assert.deepEqual(history.marks.map(({ kind, to }) => [kind, to === null ? null : Math.round(to - T)]), [["gap", 1_500], ["stale", 3_000], ["offline", 4_000]]);
  assert.deepEqual(lines(history, 0, 6_000).map(([times]) => times), [[1_000], [2_000], [5_000]]);
});

test("a clock that is set back does not break the order", () => {
  const history = new History();
  history.push(T + 5_000, 1);
  history.setState(T, "stale");
  history.setState(T - 1, "");
  history.push(T, 2);
  assert.deepEqual(lines(history, 4_000, 6_000), [[[5_000], 5_000], [[5_000], 6_000]]);
});

test("readingAt tells the price that holds at a time, and why it may not", () => {
  const history = new History();
  history.push(T, 1);
  history.push(T + 1_000, 2);
  history.setState(T + 2_000, "stale");
  history.setState(T + 3_000, "");
  const read = (t) => {
    const track = history.trackSince(T);
    const reading = readingAt(track, history.marks, T + t);
    return reading && [track.last(reading.index), reading.kind];
  };
  assert.equal(read(-1), null);
  assert.deepEqual(read(999), [1, ""]);
  assert.deepEqual(read(1_500), [2, ""]);
  assert.deepEqual(read(2_500), [2, "stale"]);
  assert.deepEqual(read(3_500), [2, "stale"]); // no price has come since
  history.push(T + 4_000, 3);
  assert.deepEqual(read(4_500), [3, ""]);
  const times = (from, to) => stops(history.trackSince(T), history.marks, T + from, T + to).map((t) => Math.round(t - T));
  assert.deepEqual(times(0, 5_000), [0, 1_000, 2_000, 4_000]);
  assert.deepEqual(times(1_500, 3_000), [1_500, 2_000]);
});

test("a History shows minutes finely and hours coarsely", () => {
  const history = new History();
  assert.equal(history.length, 0);
  for (let t = 0; t < 4 * 3_600_000; t += 500) history.push(T + t, t);
  const end = T + 4 * 3_600_000;
  assert.equal(history.trackSince(end - 60_000).spacing, 500);
  assert.ok(history.trackSince(T).spacing > 500);
  assert.equal(history.firstTime, T);
  assert.ok(history.trackSince(T).length > 300);
});

test("ticks of prices are round, few, and not finer than prices", () => {
  assert.deepEqual(priceTicks(0, 10, 5), { step: 2, decimals: 0, values: [0, 2, 4, 6, 8, 10] });
  const cents = priceTicks(8.03, 8.04, 5, 0.01);
  assert.deepEqual(cents.values.map((v) => v.toFixed(2)), ["8.03", "8.04"]);
  assert.equal(cents.decimals, 2);
  for (const [low, high] of [[1.08571, 1.0858], [-5, 5], [1e9, 1e9 + 1], [0, 1e308], [1e-9, 2e-9]]) {
    const { values, decimals } = priceTicks(low, high, 6);
    assert.ok(values.length >= 1 && values.length <= 7, `${low} to ${high}: ${values}`);
    assert.ok(decimals <= 8);
  }
  for (const v of [0, 5, -5, 1e308]) {
    const [low, high] = priceRange(v, v);
    assert.ok(low < v && v < high, `around ${v}`);
    assert.ok(priceTicks(low, high, 5).values.length < 20);
  }
});

test("ticks of times are round in local time", () => {
  const nepal = (5 * 60 + 45) * 60_000;
  const { step, values } = timeTicks(T, T + 6 * 3_600_000, 6, nepal);
  assert.equal(step, 3_600_000);
  for (const t of values) assert.equal((t + nepal) % step, 0);
  assert.ok(timeTicks(T, T + 60_000, 8, 0).values.length <= 9);
  assert.ok(timeTicks(T, T + 90 * 86_400_000, 6, 0).values.length <= 7);
});

test("the places of a chart have a way back", () => {
  const place = layout({ width: 800, height: 300, from: T, to: T + 60_000, low: 1, high: 2, right: 60 });
  assert.equal(place.timeAt(place.x(T + 12_345)), T + 12_345);
  assert.ok(place.y(2) > place.top && place.y(1) < place.bottom && place.y(2) < place.y(1));
});

// ---- search, connection, theme

const covers = (pattern, topic) => pattern === topic || (pattern === "px.FX.*" && /^px\.FX\.[^.]+$/.test(topic));

test("isMeant finds rows by words of their topics and names, and by patterns", () => {
  assert.ok(isMeant("", "px.AAPL", covers));
  assert.ok(isMeant("aap", "px.AAPL", covers));
  assert.ok(isMeant("eur/usd", "px.FX.EURUSD", covers));
  assert.ok(isMeant("fx usd", "px.FX.EURUSD", covers));
  assert.ok(isMeant("FX.*", "px.FX.EURUSD", covers));
  assert.ok(!isMeant("FX.*", "px.AAPL", covers));
  assert.ok(!isMeant("msft", "px.AAPL", covers));
});

test("neighbours names the topics to ask for, and never all of them", () => {
  for (const [text, pattern] of [["aapl", "px.>"], ["FX.EUR", "px.>"], ["news.sp", "news.>"], ["news.", "news.>"], ["px.", "px.>"],
    ["", null], ["px.FX.*", null], [">", null], ["..", null], ["*.a", null], ["a..b", null]]) assert.equal(neighbours(text), pattern, text);
});

test("KnownTopics offers what is not shown, names that begin with the text first", () => {
  const known = new KnownTopics(covers);
  for (const t of ["px.NAB", "px.ABT", "px.AAPL", "px.FX.ABCDEF", "px.ABC"]) known.add(t);
  assert.deepEqual(known.find("ab", (t) => t === "px.ABC"), ["px.ABT", "px.FX.ABCDEF", "px.NAB"]);
  assert.deepEqual(known.find("", () => false), []);
  for (let i = 0; i < 100; i++) known.add(`px.ZZ${i}`);
  assert.equal(known.find("zz", () => false).length, 8);
});

test("ConnectionAccount counts connections, and forgets the counts of one with the next", () => {
  const account = new ConnectionAccount();
  const status = (state, transport = "ws", more) => account.changed({ state, transport, stale: [], code: 0, reason: "", ...more }, T);
  const none = { rate: null, latency: null, roundTrip: null };
  const figures = (now = T, moment = none) => account.figures({ state: "live", transport: "sse", stale: [] }, moment, now);
  status("connecting");
  assert.equal(figures().ended, "–");
  assert.equal(account.reconnects, 0);
  account.hello({ node: "g1", v: 1, heartbeat: 15_000 });
  status("live");
  status("stale");
  account.lag({ conflated: 1_412, dropped: 3 });
  assert.equal(account.reconnects, 0);
  const { state, transport, node, heartbeat, conflated, dropped, latency, roundTrip, rate } = figures(T + 300_000, { rate: 1_234.5, latency: { p50: 0.4, p99: 12.3 }, roundTrip: 7 });
  assert.deepEqual({ state, transport, node, heartbeat, conflated, dropped, latency, roundTrip, rate }, { state: "Live for 5 min", transport: "Server-Sent Events",
    node: "g1", heartbeat: "15 s", conflated: "1,412", dropped: "3", latency: "<1 ms / 12 ms", roundTrip: "7 ms", rate: "1,235 msg/s" });
  status("offline", null, { code: 1012, reason: "" });
  status("connecting");
  status("offline", null, { code: 0, reason: "an attempt failed" });
  status("connecting");
  status("live", "sse");
  account.hello({ node: "g2", v: 1, heartbeat: 0 });
  assert.equal(account.reconnects, 1);
  assert.equal(figures().conflated, "0");
  assert.equal(figures().ended, "Code 1012");
  status("connecting", "ws"); // the way back from a fallback
  status("live", "ws");
  assert.equal(account.reconnects, 2);
});

test("staleText names a few topics, duration the largest unit", () => {
  assert.equal(staleText([]), "None");
  assert.equal(staleText(["a", "b"]), "a, b");
  assert.equal(staleText(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
  assert.equal(staleText(["a", ">"]), "All: the server has no feed");
  assert.deepEqual([-5, 0, 119_999, 120_000, 7_200_000].map(duration), ["0 s", "0 s", "119 s", "2 min", "2 h"]);
});

test("Theme remembers a choice, where there is a storage", () => {
  const storage = new Map();
  storage.getItem = (k) => storage.get(k) ?? null;
  storage.setItem = (k, v) => storage.set(k, v);
  storage.removeItem = (k) => storage.delete(k);
  const theme = new Theme(storage);
  assert.equal(theme.choice, "system");
  theme.choose(theme.next);
  assert.equal(new Theme(storage).choice, "light");
  theme.choose(theme.next);
  assert.equal(new Theme(storage).choice, "dark");
  theme.choose(theme.next);
  assert.equal(storage.size, 0);
  storage.set("tickcast.theme", "pink");
  assert.equal(new Theme(storage).choice, "system");
  assert.equal(new Theme(null).choice, "system");
});

test("payloads of any kind are a quote or a short text", () => {
  let deep = [];
  for (let i = 0; i < 64; i++) deep = [deep];
  for (const d of [null, true, [], {}, deep, "", "x".repeat(1e6), { l: "1" }, { b: {} }]) {
    const { last, text } = readPayload(d);
    assert.equal(last, null);
    assert.ok(text.length <= 121);
  }
  assert.equal(readPayload(7).last, 7);
  assert.deepEqual([null, 999_999, 1_100_000].map(amount), [null, "999,999", "1.1M"]);
  assert.deepEqual([null, 1.5, -1e308].map((v) => price(v, 2)), [null, "1.50", "-1.000e+308"]);
});
