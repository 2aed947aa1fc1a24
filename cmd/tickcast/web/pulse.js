// Whether the server is still there, and what time it has.
//
// A connection can be dead without having been closed: a laptop slept, a phone left its network. The
// Pulse of a connection gives it up when nothing is heard for two and a half of the server's
// heartbeats, and pings the server from time to time, which tells its clock.

import { ClockOffset, localTime } from "./clock.js";

// All times in milliseconds.
const HEARTBEAT = 15_000; // until the server's hello tells its own
const HEARTBEAT_MAX = 600_000;
const QUIET_HEARTBEATS = 2.5;
const PROBE_TIMEOUT = 5_000; // after a sleep or a network change, a ping must be answered in this time
const PING_INTERVAL = 10_000; // while the page is visible
const FIRST_PINGS = [0, 300, 600, 1_000, 2_000]; // after the start, to know the clock soon
const MAX_UNANSWERED = 16;

export class Pulse {
  clock = new ClockOffset();

  #ping;
  #lost;
  #heard = 0; // performance.now() of the newest message
  #heartbeat = HEARTBEAT; // 0: the server sends none
  #watchTimer = 0;
  #pingTimer = 0;
  #sentAt = new Map(); // id -> localTime() of pings without an answer
  #pings = 0; // made so far
  #pingsWork = true;

  // ping sends a ping command and returns its id. lost is called when the server is to be given up.
  // Both are called only between start and stop.
  constructor({ ping, lost }) {
    this.#ping = ping;
    this.#lost = lost;
  }

  start() {
    this.heard();
    this.#watch();
    this.#pingLater();
  }

  stop() {
    clearTimeout(this.#watchTimer);
    clearTimeout(this.#pingTimer);
  }

  // To be called for each message of the server.
  heard() {
    this.#heard = performance.now();
  }

  // The server promises to say something at least so often; 0 promises nothing.
  expect(heartbeat) {
    if (!(heartbeat >= 0)) return;
    this.#heartbeat = Math.min(heartbeat, HEARTBEAT_MAX);
    this.#watch();
  }

  // Demands a sign of life soon.
  probe() {
    if (!this.#pingsWork) return;
    this.#send();
    this.#watch(PROBE_TIMEOUT, true);
  }

  // Takes the answer to a ping; false if id is none. ts is the server's time when it answered.
  answered(id, ts) {
    const sent = this.#sentAt.get(id);
    if (sent === undefined) return false;
    this.#sentAt.delete(id);
    if (Number.isFinite(ts)) this.clock.add(sent, localTime(), ts);
    return true;
  }

  // Takes a refusal: a server without pings has no clock for us, and its heartbeats must do.
  refused(id) {
    if (!this.#sentAt.delete(id)) return false;
    this.#pingsWork = false;
    clearTimeout(this.#pingTimer);
    this.#watch();
    return true;
  }

  // Gives the server up if nothing is heard from now on for so long.
  #watch(patience = this.#patience(), probed = false) {
    clearTimeout(this.#watchTimer);
    const from = performance.now();
    this.#watchTimer = setTimeout(() => {
      const now = performance.now();
      const quiet = now - this.#heard;
      // A late timer means that the page was frozen or the machine asleep, and that messages may
      // be waiting behind it: ask before giving up. So, too, if the server sends no heartbeats.
      const unsure = now - from > patience + PROBE_TIMEOUT || this.#heartbeat === 0;
      if (this.#heard >= from && quiet < this.#patience()) {
        this.#watch(this.#patience() - quiet);
      } else if (unsure && !probed && this.#pingsWork) {
        this.probe();
      } else {
        this.#lost();
      }
    }, patience);
  }

  #patience() {
    return (this.#heartbeat || HEARTBEAT) * QUIET_HEARTBEATS;
  }

  #pingLater() {
    const n = this.#pings++;
    const delay = n < FIRST_PINGS.length ? FIRST_PINGS[n] - (FIRST_PINGS[n - 1] ?? 0) : PING_INTERVAL;
    this.#pingTimer = setTimeout(() => {
      if (globalThis.document?.visibilityState !== "hidden") this.#send();
      this.#pingLater();
    }, delay);
  }

  #send() {
    if (this.#sentAt.size >= MAX_UNANSWERED) this.#sentAt.clear(); // nobody answers
    this.#sentAt.set(this.#ping(), localTime());
  }
}
