// The account of the connection, and its figures in the panel.

const STATES = { connecting: "Connecting", live: "Live", stale: "Stale", offline: "Offline" };
const TRANSPORTS = { ws: "WebSocket", shared: "Shared by all tabs", sse: "Server-Sent Events", poll: "Long polling" };
const MAX_NAMED = 3; // stale topics that are named; the others are counted

const count = (n) => n.toLocaleString("en-US");

// A state of the client as a word.
export function stateName(state) {
  return STATES[state];
}

// The account of all connections of the page.
export class ConnectionAccount {
  node = "";
  version = 0; // of the protocol; 0 = not known yet
  heartbeat = 0; // ms; 0 = none is promised
  conflated = 0; // messages replaced by newer ones, on this connection
  dropped = 0;
  lost = 0; // losses on topics of mode "all", since the page was loaded
  connects = 0;
  since = null; // of this connection, as of Date.now(); null without one
  ended = null; // {code, reason} of the last connection that ended, or of the first attempt
  #transport = null;

  // Takes the first message of a connection.
  hello({ node, v, heartbeat }) {
    this.node = node ?? "";
    this.version = v ?? 0;
    this.heartbeat = heartbeat ?? 0;
    this.conflated = this.dropped = 0;
  }

  lag({ conflated, dropped }) {
    this.conflated += conflated || 0;
    this.dropped += dropped || 0;
  }

  // Takes the client's status at a time.
  changed({ state, transport, code, reason }, now) {
    const isUp = state === "live" || state === "stale";
    if (isUp && (this.since === null || transport !== this.#transport)) {
      this.connects++;
      this.since = now;
    } else if (!isUp) {
      if (state === "offline" && (this.since !== null || this.connects === 0)) this.ended = { code, reason }; // not a later attempt
      this.since = null;
    }
    this.#transport = transport;
  }

  get reconnects() {
    return Math.max(0, this.connects - 1);
  }

  // The values of the panel by their names in the page, with the client's status and the figures of the moment, each null if it
  // is not known: {rate, latency: {p50, p99}, roundTrip}.
  figures({ state, transport, stale }, { rate, latency, roundTrip }, now) {
    const ms = (v) => (v === null || v === undefined ? "–" : `${v < 1 ? "<1" : count(Math.round(v))} ms`);
    return {
      state: this.since === null ? STATES[state] : `${STATES[state]} for ${duration(now - this.since)}`,
      transport: TRANSPORTS[transport] ?? "–",
      node: this.node || "–",
      protocol: this.version ? `Version ${this.version}` : "–",
      heartbeat: this.heartbeat ? `${count(this.heartbeat / 1_000)} s` : "–",
      latency: latency ? `${ms(latency.p50)} / ${ms(latency.p99)}` : "–",
      roundTrip: ms(roundTrip),
      rate: rate === null ? "–" : `${count(Math.round(rate))} msg/s`,
      conflated: count(this.conflated),
      dropped: count(this.dropped),
      lost: count(this.lost),
      stale: staleText(stale),
      reconnects: count(this.reconnects),
      ended: this.ended ? this.ended.reason || (this.ended.code ? `Code ${this.ended.code}` : "No reason given") : "–",
    };
  }
}

// The stale topics in a few words.
export function staleText(stale) {
  if (stale.length === 0) return "None";
  if (stale.includes(">")) return "All: the server has no feed";
  const named = stale.slice(0, MAX_NAMED).join(", ");
  return stale.length > MAX_NAMED ? `${named} and ${count(stale.length - MAX_NAMED)} more` : named;
}

// A time in milliseconds as text, in its largest unit.
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h`;
}
