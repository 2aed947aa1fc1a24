// Tickcast's client: one WebSocket that keeps itself alive.
//
//   import { Tickcast } from "./tickcast.js";
//
//   const client = new Tickcast();               // this page's own server, /stream
//   client.ondata = (m) => console.log(m.t, m.d); // {"t":"px.AAPL","s":918302,"d":{...}}
//   client.subscribe(["px.AAPL", "px.FX.*"]);
//   client.connect();
//
// What it does by itself:
//   - reconnects with full-jitter exponential backoff, where and when the server allows it, and
//     subscribes again to everything that was subscribed;
//   - notices a connection that is dead without having been closed: nothing heard for two and a
//     half heartbeats;
//   - measures the server's clock, so that the age of a message can be told: client.now();
//   - spares the server: a hidden tab retries rarely, a restarting server gets its clients back
//     spread over the time that it asked for, and a client that the server has let go because it
//     subscribed to nothing comes back when it does.
//
// Callbacks, all optional:
//   ondata(message)   a data message: t topic, s sequence, d payload, k "snap" for a snapshot
//   onstate(status)   the connection's state changed; see Status
//   onack(ack)        the server answered a command
//   onerror(error)    {code, msg, topic?, id?}: a command or one of its topics was refused
//   onnotice(message) any other message of the server: hello, lag, gap, expire, drain, ...
//
// Status = {
//   state:   "connecting" | "live" | "stale" | "offline"
//   stale:   patterns of topics that the server itself no longer gets news of, when "stale"
//   retryAt: when the next attempt starts, in Date.now() milliseconds; null if there will be none
//   code, reason: of the close that led to "offline"
// }
//
// It uses nothing but WebSocket, timers and performance, so it runs in a worker or in Node, too.

import { localTime } from "./clock.js";
import { Pulse } from "./pulse.js";
import { NOTHING_WANTED, isFinal, retryDelay, timeWindow } from "./retry.js";
import { covers } from "./topics.js";

const SUBPROTOCOL = "tickcast.v1.json";

// All times in milliseconds.
const OPEN_TIMEOUT = 10_000; // an opening handshake that takes longer has failed
const SETTLED = 10_000; // a connection that lived so long starts the backoff anew
const MIN_GAP = 1_000; // between two attempts, however often the network comes and goes

const MAX_QUEUE = 256; // commands waiting for a connection
const MAX_TOPICS_BYTES = 8_192; // of topics in one command; servers take messages of 16 KiB

export class Tickcast {
  ondata = null;
  onstate = null;
  onack = null;
  onerror = null;
  onnotice = null;

  #url;
  #WebSocket;
  #random;

  #socket = null; // the only one whose events count
  #open = false; // it may be written to
  #pulse = null; // of the open connection, or of the last one
  #liveSince = 0; // performance.now() of its hello; 0 before
  #status = { state: "offline", stale: [], retryAt: null, code: 0, reason: "" };
  #wanted = new Map(); // topic -> {rate, cursor}: subscribed as soon as there is a connection
  #queue = []; // {id, text}: commands waiting for a connection
  #pending = new Map(); // id -> {resolve, reject} of request
  #nextId = 1;
  #stale = new Set();

  #attempt = 0; // failed or short-lived connections in a row
  #attemptAt = -Infinity; // performance.now() of the newest attempt
  #window = null; // [min, max] ms: when the server that drains wants us back
  #bound = false; // the wait is the server's wish, not to be cut short
  #retryTimer = 0;
  #openTimer = 0;
  #listening = null; // AbortController of the listeners for the network and the tab

  // url defaults to /stream on the page's own host. WebSocket and random are for tests.
  constructor({ url = streamURL(), WebSocket = globalThis.WebSocket, random = Math.random } = {}) {
    this.#url = url;
    this.#WebSocket = WebSocket;
    this.#random = random;
  }

  get url() {
    return this.#url;
  }

  get status() {
    return this.#status;
  }

  // The server's clock in milliseconds since 1970, or null as long as it is not known.
  now() {
    const offset = this.#pulse?.clock.offset ?? null;
    return offset === null ? null : localTime() + offset;
  }

  // The best recent round trip in milliseconds, or null.
  get roundTrip() {
    return this.#pulse?.clock.roundTrip ?? null;
  }

  // Connects at once: the first time, instead of waiting for the next attempt, or after the
  // server has sent us away for good. Does nothing if there is a connection or one is on its way.
  // Throws if the URL is none that a WebSocket can take.
  connect() {
    if (!this.#socket) this.#dial();
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    globalThis.addEventListener?.("online", () => this.#wake(), { signal });
    globalThis.document?.addEventListener(
      "visibilitychange",
      () => hidden() || this.#wake(),
      { signal },
    );
  }

  // Closes the connection and stays offline until connect is called.
  close() {
    this.#listening?.abort();
    this.#listening = null;
    clearTimeout(this.#retryTimer);
    this.#drop(1000);
    this.#failQueue("closed");
    this.#setStatus({ state: "offline", retryAt: null, code: 1000, reason: "" });
  }

  // Subscribes to topics or patterns now and after every reconnect, until unsubscribe. A rate
  // such as "250ms" asks for that pace. Refusals go to onerror, one call for each topic.
  subscribe(topics, { rate } = {}) {
    for (const topic of topics) {
      this.#wanted.set(topic, { rate, cursor: this.#wanted.get(topic)?.cursor ?? null });
    }
    if (this.#open) this.#sendTopics("sub", topics, { rate });
    else if (this.#status.code === NOTHING_WANTED && this.#status.retryAt === null) this.connect();
  }

  unsubscribe(topics) {
    for (const topic of topics) this.#wanted.delete(topic);
    if (this.#open) this.#sendTopics("unsub", topics);
  }

  // Sends any other command, such as {op: "list"}, once there is a connection. The promise holds
  // the server's ack; it is rejected with an Error, and its code if the server gave one, when
  // the command is refused or the connection is lost before it is answered.
  request(command) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (!this.#open && this.#queue.length >= MAX_QUEUE) {
        reject(new Error("too many commands are waiting for a connection"));
        return;
      }
      this.#pending.set(id, { resolve, reject });
      const text = JSON.stringify({ ...command, id });
      if (this.#open) this.#socket.send(text);
      else this.#queue.push({ id, text });
    });
  }

  // ---- the life of a connection

  #dial() {
    clearTimeout(this.#retryTimer);
    this.#attemptAt = performance.now();
    this.#bound = false;
    const socket = new this.#WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    this.#setStatus({ state: "connecting", retryAt: null });
    this.#openTimer = setTimeout(() => this.#lost(socket, 0, "no answer"), OPEN_TIMEOUT);
    socket.onopen = () => {
      if (socket === this.#socket) this.#opened();
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#received(event.data);
    };
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
  }

  #opened() {
    clearTimeout(this.#openTimer);
    this.#open = true;
    this.#resubscribe();
    for (const { text } of this.#queue.splice(0)) this.#socket.send(text);
    this.#pulse = new Pulse({
      ping: () => this.#send({ op: "ping" }),
      lost: () => this.#lost(this.#socket, 0, "nothing heard"),
    });
    this.#pulse.start();
  }

  // Ends the connection as far as this client is concerned; a dead one may take the browser
  // minutes to close. What was sent and not answered is lost.
  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#open = false;
    this.#liveSince = 0;
    this.#stale.clear();
    clearTimeout(this.#openTimer);
    this.#pulse?.stop();
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    }
  }

  #lost(socket, code, reason) {
    if (socket !== this.#socket) return;
    const settled = this.#liveSince > 0 && performance.now() - this.#liveSince >= SETTLED;
    const opened = this.#open;
    this.#drop();
    if (opened) this.#failPending("connection lost");

    if (isFinal(code) || (code === NOTHING_WANTED && this.#wanted.size === 0)) {
      this.#failQueue(reason || "sent away by the server");
      this.#setStatus({ state: "offline", retryAt: null, code, reason });
      return;
    }
    if (settled && code !== NOTHING_WANTED) this.#attempt = 0;
    const window = this.#window;
    this.#window = null;
    const { delay, bound } = retryDelay({
      code,
      window,
      attempt: this.#attempt++,
      hidden: hidden(),
      random: this.#random,
    });
    this.#bound = bound;
    this.#retryIn(delay, { code, reason });
  }

  #retryIn(delay, why = {}) {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#dial(), delay);
    this.#setStatus({ state: "offline", retryAt: Date.now() + delay, ...why });
  }

  // The network is back, or somebody looks at the page: retry now rather than later, and see
  // whether the connection, if there is one, has survived.
  #wake() {
    if (this.#open) {
      this.#pulse.probe();
    } else if (!this.#socket && this.#status.retryAt !== null && !this.#bound) {
      this.#retryIn(Math.max(0, this.#attemptAt + MIN_GAP - performance.now()));
    }
  }

  // ---- messages

  #received(text) {
    this.#pulse.heard();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not ours to judge; the next one may be better
    }
    if (message === null || typeof message !== "object") return;
    if (message.op === undefined) {
      this.#data(message);
      return;
    }
    switch (message.op) {
      case "hello":
        this.#pulse.expect(message.heartbeat);
        this.#liveSince = performance.now();
        this.#setStatus({ state: "live", code: 0, reason: "" });
        break;
      case "ack":
        this.#acked(message);
        return;
      case "err":
        this.#refused(message);
        return;
      case "hb":
        return;
      case "stale":
        for (const pattern of message.topics ?? []) this.#stale.add(pattern);
        this.#setStatus({});
        break;
      case "fresh":
        for (const pattern of message.topics ?? []) {
          for (const old of this.#stale) if (covers(pattern, old)) this.#stale.delete(old);
        }
        this.#setStatus({});
        break;
      case "drain":
        this.#window = timeWindow(message.after);
        break;
    }
    this.onnotice?.(message);
  }

  #data(message) {
    const wanted = this.#wanted.get(message.t);
    if (wanted?.cursor) wanted.cursor.seq = message.s;
    this.ondata?.(message);
  }

  #acked(ack) {
    if (this.#pulse.answered(ack.id, ack.ts)) return;
    for (const { t, mode, cursor } of ack.topics ?? []) {
      const wanted = this.#wanted.get(t);
      if (wanted && mode === "all") wanted.cursor = parseCursor(cursor);
    }
    this.#settle(ack.id)?.resolve(ack);
    this.onack?.(ack);
    for (const { t, code, msg } of ack.errors ?? []) {
      this.onerror?.({ id: ack.id, topic: t, code, msg });
    }
  }

  #refused({ id, code, msg }) {
    if (this.#pulse.refused(id)) return;
    this.#settle(id)?.reject(Object.assign(new Error(msg), { code }));
    this.onerror?.({ id, code, msg });
  }

  // ---- commands

  // Topics without a cursor together, each lossless one from where it was.
  #resubscribe() {
    const together = new Map(); // rate -> topics
    for (const [topic, { rate, cursor }] of this.#wanted) {
      if (cursor) {
        this.#sendTopics("sub", [topic], { rate, after: `${cursor.epoch}:${cursor.seq}` });
      } else if (together.has(rate)) {
        together.get(rate).push(topic);
      } else {
        together.set(rate, [topic]);
      }
    }
    for (const [rate, topics] of together) this.#sendTopics("sub", topics, { rate });
  }

  // Sends a command over the open connection and returns its id.
  #send(command) {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ ...command, id }));
    return id;
  }

  // In as many commands as the size of a message demands.
  #sendTopics(op, topics, options = {}) {
    let some = [];
    let bytes = 0;
    const flush = () => {
      if (some.length > 0) {
        this.#send({ op, topics: some, ...options });
      }
      some = [];
      bytes = 0;
    };
    for (const topic of topics) {
      const size = 3 * topic.length + 3; // as UTF-8, at most
      if (bytes + size > MAX_TOPICS_BYTES) flush();
      some.push(topic);
      bytes += size;
    }
    flush();
  }

  #settle(id) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    return waiting;
  }

  // Queued commands are not on their way yet and outlive a failed connection.
  #failPending(reason) {
    const queued = new Set(this.#queue.map(({ id }) => id));
    for (const id of [...this.#pending.keys()]) {
      if (!queued.has(id)) this.#settle(id).reject(new Error(reason));
    }
  }

  #failQueue(reason) {
    this.#queue = [];
    this.#failPending(reason);
  }

  #setStatus(change) {
    const status = { ...this.#status, ...change, stale: [...this.#stale] };
    if (status.state === "live" || status.state === "stale") {
      status.state = status.stale.length > 0 ? "stale" : "live";
    }
    this.#status = status;
    this.onstate?.(status);
  }
}

// "k3Qd:918273" -> {epoch: "k3Qd", seq: 918273}; null if it is none.
function parseCursor(text) {
  const [, epoch, seq] = /^([^:]+):(\d+)$/.exec(text ?? "") ?? [];
  return epoch === undefined ? null : { epoch, seq: Number(seq) };
}

function hidden() {
  return globalThis.document?.visibilityState === "hidden";
}

// The stream's path beside the page, so that a proxy may put both under a path of its own.
export function streamURL(path = "stream") {
  const url = new URL(path, globalThis.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = url.search = "";
  return url.href;
}
