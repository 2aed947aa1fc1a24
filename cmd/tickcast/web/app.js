// The live market page: connects the client, the table, the header and the form.

import { Access, splitFragment } from "./access.js";
import { ClockOffset, localTime } from "./clock.js";
import { Quotes } from "./quotes.js";
import { LatencyWindow, Meter } from "./stats.js";
import { Tickcast } from "./tickcast.js";
import { DEFAULT_TOPICS, Watchlist, parseTopics } from "./watchlist.js";

const REFRESH = 500; // ms between two updates of the figures
const MESSAGE_TIME = 15_000; // ms that a message stays
const PING_INTERVAL = 10_000; // ms between pings, which give the server's clock
const FIRST_PINGS = 5; // come at short intervals, to learn the clock soon
const MAX_AGE = 3_600_000; // ms: older timestamps do not measure latency

const $ = (id) => document.getElementById(id);

const access = new Access(openStorage("sessionStorage"));
const topicsHash = takeToken(); // the address has no token from here on
const client = new Tickcast(document.querySelector("meta[name=stream]").content, { token: () => access.token || undefined });
const clock = new ClockOffset();
const meter = new Meter();
const latencies = new LatencyWindow();
const watchlist = new Watchlist({ hash: topicsHash, storage: openStorage("localStorage") });
const quotes = new Quotes($("quotes"), {
  onremove: (entry) => choose(watchlist.topics.filter((t) => t !== entry)),
  onfull: (rows) => say(`Showing the first ${rows} topics.`, "info"),
});
const server = { node: "", conflated: 0, dropped: 0 };

// ---- messages of the server

function receive(message) {
  const now = performance.now();
  meter.add(now);
  if (!quotes.update(message, now)) return;
  // A snapshot's time is that of the price change, not that of sending.
  if (message.k === "snap" || typeof message.d?.ts !== "number" || clock.offset === null) return;
  const age = localTime() + clock.offset - message.d.ts;
  if (age > -MAX_AGE && age < MAX_AGE) latencies.add(now, Math.max(0, age));
}

client.on("error", ({ topic, code, message, retry }) => {
  const reason = `${message} (${code})`;
  if (topic !== undefined && !retry) quotes.refuse(topic, reason);
  say(topic === undefined ? `The server says: ${reason}` : `${topic}: ${reason}`, "error");
});

client.on("lost", ({ topic, why }) => say(`${topic}: updates were missed, ${why}.`, "error"));

client.on("lag", ({ conflated, dropped }) => {
  server.conflated += conflated || 0;
  server.dropped += dropped || 0;
  showAbout();
});

client.on("notice", (message) => {
  switch (message.op) {
    case "hello":
      say(""); // an earlier problem is over
      server.node = message.node ?? "";
      server.conflated = server.dropped = 0;
      showAbout();
      break;
    case "stale":
      say(`The server has lost its feed${message.why ? ` (${message.why})` : ""}: prices stand still.`, "error");
      break;
    case "fresh":
      say("The feed is back: rows change with their next tick.", "info");
      break;
    case "expire":
      say(`Access ends in ${message.in} s.`, "info");
      break;
    case "drain":
      say("The server restarts; this page will come back by itself.", "info");
      break;
  }
});

// Asks for the server's time, now and again while the page is visible.
async function ping(count) {
  setTimeout(ping, count < FIRST_PINGS ? 100 * 2 ** count : PING_INTERVAL, count + 1);
  if (document.visibilityState === "hidden" || client.status.transport !== "ws") return;
  const sent = localTime();
  const { ts } = await client.request({ op: "ping" });
  if (Number.isFinite(ts)) clock.add(sent, localTime(), ts);
}

const stateNames = { connecting: "Connecting", live: "Live", stale: "Stale", offline: "Offline" };

client.on("status", ({ state, stale, retryAt, code, reason }) => {
  const element = $("state");
  if (element.dataset.state !== state) {
    element.dataset.state = state;
    element.textContent = stateNames[state];
  }
  document.documentElement.dataset.connected = state === "live" || state === "stale";
  quotes.setStale(stale);
  if (state === "offline") latencies.clear();
  if (state === "offline" && retryAt === null && watchlist.topics.length > 0) {
    say(`The server has closed the connection for good: ${reason || "no reason given"} (${code}).`, "error");
  }
  showRetry();
});

// ---- actions of the visitor

// Shows other topics, and subscribes to the new ones among them.
function choose(topics) {
  const before = watchlist.topics;
  watchlist.replace(topics);
  history.replaceState(null, "", watchlist.hash);
  apply(before);
}

function apply(before) {
  const { topics } = watchlist;
  const gone = before.filter((t) => !topics.includes(t));
  const come = topics.filter((t) => !before.includes(t));
  quotes.show(topics);
  if (gone.length > 0) client.unsubscribe(gone);
  if (come.length > 0) client.subscribe(come, receive);
  $("empty").hidden = topics.length > 0;
  showFigures();
}

function add(text) {
  const { topics, refused } = parseTopics(text);
  const come = topics.filter((t) => !watchlist.topics.includes(t));
  if (refused.length > 0) say(`Not a topic: ${refused.join(", ")}`, "error");
  else if (come.length > 0 && watchlist.isFull) say("The list is full; remove something first.", "error");
  else if (come.length === 0 && topics.length > 0) say(`${topics.join(", ")} is there already.`, "info");
  else say("");
  if (come.length > 0) choose([...come, ...watchlist.topics]); // on top, where they are visible
  return refused.length === 0;
}

$("add-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (add($("add-input").value)) $("add-input").value = "";
});
$("watch-test").addEventListener("click", () => add("px.TEST"));
$("restore").addEventListener("click", () => choose(DEFAULT_TOPICS));
$("retry").addEventListener("click", () => client.connect());
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  access.replace($("token-input").value);
  $("token-input").value = "";
  startAgain();
});
$("token-forget").addEventListener("click", () => {
  access.replace("");
  startAgain();
});
addEventListener("hashchange", () => {
  const before = watchlist.topics;
  const { token } = access;
  const other = new Watchlist({ hash: takeToken(), storage: null });
  watchlist.replace(other.topics);
  apply(before);
  if (access.token !== token) startAgain();
});

// Moves the token of the address into the tab, and returns the fragment that is left, with the topics.
function takeToken() {
  const { token, hash } = splitFragment(location.hash);
  if (token !== null) {
    access.replace(token);
    history.replaceState(null, "", location.pathname + location.search + hash);
  }
  return hash;
}

// Connects again, after a change of the token: topics that were refused may be allowed now, and the other way round.
function startAgain() {
  const { topics } = watchlist;
  say("");
  client.close();
  client.unsubscribe(topics);
  quotes.show([]);
  quotes.show(topics);
  client.subscribe(topics, receive);
  client.connect();
  showAccess();
}

function showAccess() {
  $("token-forget").hidden = access.token === "";
  $("token-input").placeholder = access.token === "" ? "Token" : "Another token";
}

// ---- header, messages, footer

let messageTimer = 0;

// Shows a line under the title: kind is "error" or "info". An empty text clears it.
function say(text, kind = "info") {
  clearTimeout(messageTimer);
  $("message").textContent = text;
  $("message").dataset.kind = kind;
  if (text) messageTimer = setTimeout(() => say(""), MESSAGE_TIME);
}

function showFigures() {
  const now = performance.now();
  const rate = meter.rate(now);
  const latency = latencies.summary(now);
  figure("rate", rate > 0 && rate < 9.95 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en-US"), "msg/s");
  figure("p50", latency && milliseconds(latency.p50), "ms");
  figure("p99", latency && milliseconds(latency.p99), "ms");
  figure("topics", String(quotes.size), "");
}

// Shows a number and its unit; null is unknown.
function figure(id, value, unit) {
  const text = value === null ? "–" : value;
  const element = $(id);
  if (element.dataset.value === text) return;
  element.dataset.value = text;
  const unitElement = document.createElement("span");
  unitElement.className = "unit";
  unitElement.textContent = value === null ? "" : ` ${unit}`;
  element.replaceChildren(text, unitElement);
}

// Timestamps are whole milliseconds, so a value below one is not exact.
function milliseconds(ms) {
  return ms < 1 ? "<1" : Math.round(ms).toLocaleString("en-US");
}

let isLost = false; // the last connection, or attempt at one, has failed

function showRetry() {
  const { state, retryAt } = client.status;
  if (state !== "connecting") isLost = state === "offline";
  $("retry").hidden = !isLost;
  $("retry").disabled = state === "connecting";
  $("retry").textContent = state === "offline" && retryAt === null ? "Connect" : "Retry now";
  let text = isLost && state === "connecting" ? "retrying" : "";
  if (state === "offline" && retryAt !== null) {
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000));
    text = navigator.onLine === false ? "no network" : `retrying in ${seconds} s`;
  }
  if ($("countdown").textContent !== text) $("countdown").textContent = text;
}

function showAbout() {
  const parts = [client.url.replace(/^http/, "ws")];
  if (server.node) parts.push(`node ${server.node}`);
  if (server.conflated > 0) parts.push(`${server.conflated.toLocaleString("en-US")} updates conflated`);
  if (server.dropped > 0) parts.push(`${server.dropped.toLocaleString("en-US")} dropped`);
  $("about").textContent = parts.join(" · ");
}

// localStorage or sessionStorage, or null where the browser forbids it.
function openStorage(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}

showAccess();
$("stream-url").textContent = client.url.replace(/^http/, "ws");
if (!watchlist.isDefault) history.replaceState(null, "", watchlist.hash);
apply([]);
setInterval(showFigures, REFRESH);
setInterval(showRetry, REFRESH / 2);
client.connect();
ping(0);
