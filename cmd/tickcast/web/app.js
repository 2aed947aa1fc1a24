// The live market page: connects the client, the table, the chart, the header and the forms.

import { Access, splitFragment } from "./access.js";
import { ChartPanel } from "./chart-panel.js";
import { ClockOffset, localTime } from "./clock.js";
import { ConnectionAccount, stateName } from "./connection.js";
import { setText } from "./dom.js";
import { Finder } from "./finder.js";
import { Quotes } from "./quotes.js";
import { KnownTopics } from "./search.js";
import { LatencyWindow, Meter } from "./stats.js";
import { Theme, bindTheme } from "./theme.js";
import { Tickcast, covers } from "./tickcast.js";
import { DEFAULT_TOPICS, Watchlist, parseTopics } from "./watchlist.js";

const REFRESH = 500; // ms between two updates of the figures
const MESSAGE_TIME = 15_000; // ms that a message stays
const PING_INTERVAL = 10_000; // ms between pings, which give the server's clock
const FIRST_WAIT = 100; // ms between the first two, and between two looks for a connection
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
const account = new ConnectionAccount();
const known = new KnownTopics(covers);
const chart = new ChartPanel($("chart"), { onclose: closeChart });
const quotes = new Quotes($("quotes"), {
  onremove: (entry) => choose(watchlist.topics.filter((t) => t !== entry)),
  onopen: openChart,
  ondrop: (row) => row === chart.row && hideChart(),
  onpaint: (now) => chart.paint(now),
  onfull: (rows) => say(`Showing the first ${rows} topics.`, "info"),
});
const finder = new Finder($("add-input"), $("offers"), known, {
  onfilter: showFound,
  onadd: add,
  onfirst: () => quotes.focusFirst(),
  shown: (topic) => quotes.has(topic),
  latest: (pattern) => client.latest(pattern),
});
bindTheme($("theme"), new Theme(openStorage("localStorage")), () => {
  quotes.restyle();
  chart.restyle();
});

// ---- messages of the server

function receive(message) {
  const now = performance.now();
  meter.add(now);
  known.add(message.t);
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

const missed = new Set(); // topics, while their message is shown

client.on("lost", ({ topic, why }) => {
  account.lost++;
  quotes.missed(topic);
  missed.add(topic);
  say(`${missed.size === 1 ? topic : `${missed.size} topics`}: updates were missed, ${why}.`, "error");
});

client.on("lag", (lag) => account.lag(lag));

client.on("notice", (message) => {
  switch (message.op) {
    case "hello":
      say(""); // an earlier problem is over
      account.hello(message);
      break;
    case "gap":
      quotes.missed(message.t);
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

// Asks for the server's time, now and again while the page is visible. A question that waits for the connection would count that
// wait, so there is none without one.
async function ping(count) {
  const { state, transport } = client.status;
  const isUp = (state === "live" || state === "stale") && (transport === "ws" || transport === "shared");
  if (!isUp || document.visibilityState === "hidden") return void setTimeout(ping, FIRST_WAIT, count);
  setTimeout(ping, count < FIRST_PINGS ? FIRST_WAIT * 2 ** count : PING_INTERVAL, count + 1);
  const sent = localTime();
  try {
    const { ts } = await client.request({ op: "ping" });
    if (Number.isFinite(ts)) clock.add(sent, localTime(), ts);
  } catch {
    // The connection has ended, or the one that the tabs share takes no commands.
  }
}

client.on("status", (status) => {
  const { state, stale, retryAt, code, reason } = status;
  const element = $("state");
  if (element.dataset.state !== state) {
    element.dataset.state = state;
    element.textContent = stateName(state);
  }
  const isConnected = state === "live" || state === "stale";
  document.documentElement.dataset.connected = isConnected;
  account.changed(status, Date.now());
  quotes.setState(isConnected, stale);
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
  if (!finder.enter() && add($("add-input").value)) finder.clear();
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
  if (text === "") missed.clear();
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
  showConnection(rate, latency);
}

// Fills the panel of the connection: its summary always, the figures while it is open.
function showConnection(rate, latency) {
  const { status } = client;
  const figures = account.figures(status, { rate, latency, roundTrip: clock.roundTrip }, Date.now());
  const line = [status.transport === null ? figures.state : figures.transport];
  if (account.node) line.push(`node ${account.node}`);
  if (status.stale.length > 0) line.push(`stale: ${figures.stale}`);
  setText($("connection-line"), line.join(" · "));
  if (!$("connection").open) return;
  for (const element of $("connection").querySelectorAll("[data-v]")) setText(element, figures[element.dataset.v]);
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

// Filters the rows, and says how many are left.
function showFound(text) {
  const found = quotes.filter(text);
  setText($("found"), text === "" ? "" : `${found} of ${quotes.size}`);
  $("none-found").hidden = text === "" || found > 0 || quotes.size === 0;
}

// ---- the chart

function openChart(row, byKeyboard) {
  if (row === chart.row) return closeChart(row);
  document.documentElement.dataset.chart = "open";
  chart.open(row, byKeyboard);
  quotes.setOpen(row.topic);
  row.element.scrollIntoView({ block: "nearest" }); // the panel may lie over it
}

function closeChart(row) {
  hideChart();
  row.button.focus();
}

function hideChart() {
  delete document.documentElement.dataset.chart;
  chart.close();
  quotes.setOpen(null);
}

// localStorage or sessionStorage, or null where the browser forbids it.
function openStorage(name) {
  try {
    return globalThis[name];
  } catch {
    return null;
  }
}

$("connection").addEventListener("toggle", showFigures);
showAccess();
$("stream-url").textContent = client.url.replace(/^http/, "ws");
if (!watchlist.isDefault) history.replaceState(null, "", watchlist.hash);
apply([]);
setInterval(showFigures, REFRESH);
setInterval(showRetry, REFRESH / 2);
client.connect();
ping(0);
