// The live market page: connects the client, the table, the header and the form.

import { Quotes } from "./quotes.js";
import { LatencyWindow, Meter } from "./stats.js";
import { Tickcast, streamURL } from "./tickcast.js";
import { DEFAULT_TOPICS, Watchlist, parseTopics } from "./watchlist.js";

const REFRESH = 500; // ms between two looks at the figures
const MESSAGE_TIME = 15_000; // ms that a message stays
const MAX_AGE = 3_600_000; // ms: older timestamps are no measure of latency

const $ = (id) => document.getElementById(id);

const client = new Tickcast({ url: streamURL(document.querySelector("meta[name=stream]").content) });
const meter = new Meter();
const latencies = new LatencyWindow();
const watchlist = new Watchlist({ hash: location.hash, storage: openStorage() });
const quotes = new Quotes($("quotes"), {
  onremove: (entry) => choose(watchlist.topics.filter((t) => t !== entry)),
  onfull: (rows) => say(`Showing the first ${rows} topics.`, "info"),
});
const server = { node: "", conflated: 0, dropped: 0 };

// ---- what the server says

client.ondata = (message) => {
  const now = performance.now();
  meter.add(now);
  if (!quotes.update(message, now)) return;
  // A snapshot's time says when the price changed, not when it was sent.
  if (message.k === "snap" || typeof message.d?.ts !== "number") return;
  const serverNow = client.now();
  if (serverNow === null) return;
  const age = serverNow - message.d.ts;
  if (age > -MAX_AGE && age < MAX_AGE) latencies.add(now, Math.max(0, age));
};

client.onerror = ({ topic, code, msg }) => {
  const what = `${msg ?? "error"} (${code})`;
  if (topic !== undefined) quotes.refuse(topic, what);
  say(topic === undefined ? `The server says: ${what}` : `${topic}: ${what}`, "error");
};

client.onnotice = (message) => {
  switch (message.op) {
    case "hello":
      say(""); // whatever it was, it is over
      server.node = message.node ?? "";
      server.conflated = server.dropped = 0;
      showAbout();
      break;
    case "lag":
      server.conflated += message.conflated || 0;
      server.dropped += message.dropped || 0;
      showAbout();
      break;
    case "gap":
      say(`${message.t}: updates were missed${message.why ? `, ${message.why}` : ""}.`, "error");
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
};

const stateNames = { connecting: "Connecting", live: "Live", stale: "Stale", offline: "Offline" };

client.onstate = ({ state, stale, retryAt, code, reason }) => {
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
};

// ---- what the visitor does

// Shows other topics, and subscribes to what is new among them.
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
  if (come.length > 0) client.subscribe(come);
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
  if (come.length > 0) choose([...come, ...watchlist.topics]); // on top, where it is seen
  return refused.length === 0;
}

$("add-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (add($("add-input").value)) $("add-input").value = "";
});
$("watch-test").addEventListener("click", () => add("px.TEST"));
$("restore").addEventListener("click", () => choose(DEFAULT_TOPICS));
$("retry").addEventListener("click", () => client.connect());
addEventListener("hashchange", () => {
  const before = watchlist.topics;
  const other = new Watchlist({ hash: location.hash, storage: null });
  watchlist.replace(other.topics);
  apply(before);
});

// ---- header, messages, footer

let messageTimer = 0;

// Shows a line under the title: kind is "error" or "info". Nothing clears it.
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

// A number and its unit; null is unknown.
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

// Timestamps are whole milliseconds, so nothing below one can be told.
function milliseconds(ms) {
  return ms < 1 ? "<1" : Math.round(ms).toLocaleString("en-US");
}

let isLost = false; // there was a connection, or an attempt at one

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
  const parts = [`tickcast.v1.json`];
  if (server.node) parts.push(`node ${server.node}`);
  if (server.conflated > 0) parts.push(`${server.conflated.toLocaleString("en-US")} updates conflated`);
  if (server.dropped > 0) parts.push(`${server.dropped.toLocaleString("en-US")} dropped`);
  $("about").textContent = parts.join(" · ");
}

// localStorage, or null where the browser forbids it.
function openStorage() {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}

$("stream-url").textContent = client.url;
if (!watchlist.isDefault) history.replaceState(null, "", watchlist.hash);
apply([]);
setInterval(showFigures, REFRESH);
setInterval(showRetry, REFRESH / 2);
client.connect();
