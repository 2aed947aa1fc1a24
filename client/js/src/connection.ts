// A connection that keeps itself alive: which transport, when, and whether it still lives.

import { IDLE, LEAVING, backoff, isFinal, isLeaving, wish } from "./retry.js";
import type { Subscriptions } from "./subscriptions.js";
import { type Line, type Listener, fetched, findWebSocket, shared, webSocket } from "./transport.js";
import { type Emit, type Options, type Status, TickcastError, type TransportName } from "./types.js";

// All times in milliseconds.
const OPEN_TIMEOUT = 10_000; // an opening that takes longer has failed
const STABLE = 10_000; // a connection that lived so long resets the backoff
const HEARTBEAT = 15_000; // until the server says another
const PROBE = 5_000; // for the answer to a ping
const UPGRADE = 60_000; // between two looks for the way back from a fallback

export const enum Timer {
  Retry,
  Open,
  Upgrade,
  Heartbeat,
  /** For subscriptions that were refused for now. */
  Again,
  /** For a request with other subscriptions. */
  Ask,
}

/** What the connection's owner does. */
export interface Owner {
  emit: Emit;
  token(): Promise<string | undefined>;
  received(message: any): void;
  /** A line without commands is open. */
  begin(): void;
  /** The line is gone. */
  dropped(): void;
  ping(): void;
}

const now = () => performance.now();
const page = globalThis.document; // none in workers and Node.js

export class Connection implements Listener {
  status: Status = { state: "offline", transport: null, stale: [], retryAt: null, code: 0, reason: "" };
  line: Line | null = null;
  /** Of the line. */
  token?: string | undefined;
  /** Since when it is live; 0 = not. */
  isLive = 0;
  /** Counts the attempts: what an older line says is ignored. */
  dials = 0;
  /** Milliseconds between two messages at most; 0 is no promise. */
  beat = 0;
  /** When the server wishes that the client comes back; 0 = it does not say. */
  wished = 0;

  readonly received: Owner["received"];

  #url: string;
  #options: Options;
  #subs: Subscriptions;
  #owner: Owner;
  #transports: TransportName[];
  #timers: ReturnType<typeof setTimeout>[] = [];
  #open = false;
  #heard = 0;
  #probed = false;
  #attempt = 0; // failed or short-lived connections in a row
  #transport = 0; // index in #transports
  #best = 0; // the one that has worked
  #upgrades = false; // WebSockets have worked
  #signals: AbortController | null = null; // listeners for the network and the page

  constructor(url: string, options: Options, subs: Subscriptions, owner: Owner) {
    this.#url = url;
    this.#options = options;
    this.#subs = subs;
    this.#owner = owner;
    this.received = owner.received;
    this.#transports = (options.transports ?? ["ws", "shared", "sse", "poll"]).filter((name) => name !== "shared" || globalThis.SharedWorker);
  }

  connect(): void {
    if (!this.#signals) this.#listen();
    if (!this.line && this.status.state !== "connecting") this.#dial();
  }

  close(): void {
    this.#signals?.abort();
    this.#signals = null;
    this.#end(1000, "closed");
  }

  /** The server wishes that the client comes back in so many milliseconds, and not before. By default max is half as much again. */
  wish(min: number, max?: number): void {
    const delay = wish(min, max);
    if (delay) this.wished = now() + delay;
  }

  /** The server takes commands, or has answered the request that names the subscriptions. */
  begin(): void {
    this.isLive = now();
    this.setStatus({ code: 0, reason: "" });
  }

  heard(): void {
    this.#heard = now();
    this.#probed = false;
    if (!this.#open) this.#opened();
  }

  async #dial(): Promise<void> {
    const dial = ++this.dials;
    const transport = this.#transports[this.#transport]!;
    this.beat = this.wished = 0;
    this.timer(Timer.Retry);
    this.setStatus({ state: "connecting", transport, retryAt: null });
    this.timer(Timer.Open, OPEN_TIMEOUT, () => this.lost(408, "timeout"));
    try {
      this.token = await this.#owner.token();
      const WebSocket = transport === "ws" && (await findWebSocket(this.#options));
      if (dial !== this.dials) return;
      if (WebSocket) this.line = webSocket(WebSocket, this.#url, this);
      else if (transport === "shared") this.line = shared(this.#options.worker, this.#url, this);
      else this.line = fetched(this.#url, transport === "poll", this.#subs.query, this.token, this);
    } catch (error: any) {
      if (dial === this.dials) this.lost(error.code | 0, error.message);
    }
  }

  #opened(): void {
    this.#open = true;
    this.timer(Timer.Open);
    this.watch();
    this.#best = this.#transport;
    if (this.#transports[this.#best] === "ws") this.#upgrades = true;
    else this.#upgradeLater();
    if (!this.line!.send) this.#owner.begin(); // otherwise hello follows
  }

  /** Ends the line for this client at once: a browser may take minutes to close a dead one. */
  #drop(): void {
    this.dials++;
    this.line?.close();
    this.line = null;
    this.#open = this.#probed = false;
    this.isLive = 0;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#subs.reset();
    this.#owner.dropped();
  }

  lost(code: number, reason: string): void {
    const opened = this.#open;
    if (this.isLive && now() - this.isLive >= STABLE) this.#attempt = 0;
    this.#drop();
    if (code === 401 && opened) return void this.#dial(); // a poll is not told that its token expires: only a new one's refusal is final
    if (code === IDLE && !this.#subs.isDue) return this.#end(code, reason); // all are due when the line is gone
    if (isFinal(code)) {
      this.#end(code, reason);
      return this.#owner.emit("error", new TickcastError(code, reason || "refused"));
    }
    if (!opened) {
      if (this.#tryNext(code)) return void this.#dial();
      this.#best = 0;
    }
    this.#transport = this.#best;
    if (isLeaving(code) && !this.wished) this.wish(LEAVING, 15 * LEAVING);
    const delay = this.wished ? Math.max(0, this.wished - now()) : backoff(this.#attempt++, page?.hidden);
    this.timer(Timer.Retry, delay, () => this.#dial());
    this.setStatus({ state: "offline", transport: null, retryAt: Date.now() + delay, code, reason });
  }

  /** Chooses the next transport after one that did not open; false if that would not help. A WebSocket does not tell why, so
   *  the next transport finds out; but where WebSockets have worked, the server is more likely to be away. */
  #tryNext(code: number): unknown {
    const away = this.#transports[this.#transport] === "ws" ? this.#upgrades && this.#attempt < 2 : !code || this.wished;
    return !away && this.#transports[++this.#transport];
  }

  #end(code: number, reason: string): void {
    this.#drop();
    this.#transport = this.#best = 0;
    this.setStatus({ state: "offline", transport: null, retryAt: null, code, reason });
  }

  redial(): void {
    this.#drop();
    this.#dial();
  }

  /** From a fallback, looks for the way back. */
  #upgradeLater(): void {
    const best = this.#transports.indexOf("ws");
    if (best < 0 || best > this.#best) return;
    this.timer(Timer.Upgrade, (this.#options.upgradeInterval ?? UPGRADE) * (1 + Math.random()), async () => {
      const dial = this.dials;
      const probe = webSocket(await findWebSocket(this.#options), this.#url, {
        heard: () => {
          probe.close();
          if (dial !== this.dials) return;
          this.#transport = best;
          this.redial();
        },
      });
      this.#upgradeLater();
    });
  }

  // ---- life signs

  /** Gives the line up after two and a half heartbeats of silence, the last half after a ping. A timer that is late means
   *  that the machine slept: messages may wait behind it, so the ping comes first. */
  watch(): void {
    const beat = this.beat || HEARTBEAT;
    this.timer(Timer.Heartbeat, this.#probed ? Math.min(PROBE, beat / 2) : beat / 2, () => {
      const quiet = now() - this.#heard;
      if (!this.#probed && quiet < 2 * beat) this.watch();
      else if (this.#probed || !this.#probe()) this.lost(0, "silence");
    });
  }

  #probe(): boolean {
    if (!this.isLive || !this.line!.send) return false;
    this.#probed = true;
    this.#owner.ping();
    this.watch();
    return true;
  }

  #listen(): void {
    this.#signals = new AbortController();
    const { signal } = this.#signals;
    const listen = (names: string, f: () => void) => {
      for (const name of names.split(" ")) for (const target of [page, globalThis]) target?.addEventListener?.(name, f, { signal });
    };
    listen("online offline visibilitychange", () => page?.hidden || this.#wake());
    // A frozen page cannot read, and one with a connection is not kept for the "back" button.
    listen("freeze pagehide", () => (this.line || this.status.retryAt) && this.#end(1000, "frozen"));
    listen("resume pageshow", () => this.status.reason === "frozen" && this.connect());
  }

  /** The network or the page has changed: retries now, or asks whether the line still lives. */
  #wake(): void {
    if (!this.#probe() && !this.wished && this.status.retryAt) this.#dial();
  }

  setStatus(change: Partial<Status>): void {
    const status = { ...this.status, ...change, stale: [...this.#subs.silent] };
    if (this.isLive) status.state = status.stale[0] ? "stale" : "live";
    this.#owner.emit("status", (this.status = status));
  }

  /** Sets a timer of the line, or clears it. */
  timer(timer: Timer, delay?: number, f?: () => void): void {
    clearTimeout(this.#timers[timer]);
    if (f) this.#timers[timer] = setTimeout(f, delay);
  }
}
