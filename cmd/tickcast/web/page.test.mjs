// Run with: node --test cmd/tickcast/web/page.test.mjs

import assert from "node:assert/strict";
import { test } from "node:test";

import { Access, splitFragment } from "./access.js";
import { LatencyWindow, Meter, percentile } from "./stats.js";
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
