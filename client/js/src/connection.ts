// A connection that keeps itself alive: which transport, when, and whether it still lives.

import { IDLE, backoff, isFinal, leaving } from "./retry.js";
import { type Line, type Listener, fetched, findWebSocket, shared, webSocket } from "./transport.js";
import { type Emit, type Options, type Status, TickcastError, type TransportName } from "./types.js";

// All times in milliseconds.
const OPEN_TIMEOUT = 10_000; // an opening that takes longer has failed
const STABLE = 10_000; // a connection that lived so long resets the backoff
const HEARTBEAT = 15_000; // until the server says another
const PROBE = 5_000; // for the answer to a ping
const UPGRADE = 60_000; // between two looks for the way back from a fallback

/** What the connection's owner does. */
export interface Owner {
  emit: Emit;
  token(): Promise<string | undefined>;
  /** The query of a request that names all subscriptions. */
  query(): Record<string, string>;
  received(message: any): void;
  /** Whether anything is subscribed. */
  wants(): boolean;
  /** A line without commands is open. */
  begin(): void;
  /** The line is gone. */
  dropped(): void;
  ping(): void;
}

const now = () => performance.now();
const hidden = () => globalThis.document?.visibilityState === "hidden";

export class Connection {
  status: Status = { state: "offline", transport: null, stale: [], retryAt: null, code: 0, reason: "" };
  /** Topics and patterns that the server called stale. */
  readonly silent = new Set<string>();
  line: Line | null = null;
  /** Of the line. */
  token?: string | undefined;
  /** Counts the attempts: what an older line says is ignored. */
  dials = 0;
  /** Milliseconds between two messages at most; 0 is no promise. */
  beat = HEARTBEAT;
  /** When the server wishes that the client comes back; 0 = it does not say. */
  wished = 0;

  #url: string;
  #options: Options;
  #owner: Owner;
  #transports: TransportName[];
  #timers: Record<string, ReturnType<typeof setTimeout>> = {};
  #open = false;
  #live = 0; // since when; 0 = not
  #heard = 0;
  #probed = false;
  #attempt = 0; // failed or short-lived connections in a row
  #bound = false; // the present wait must not be shortened
  #transport = 0; // index in #transports
  #best = 0; // the one that has worked
  #upgrades = false; // WebSockets have worked
  #signals: AbortController | null = null; // listeners for the network and the page

  constructor(url: string, options: Options, owner: Owner) {
    this.#url = url;
    this.#options = options;
    this.#owner = owner;
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

  /** The server wishes that the client comes back in so many milliseconds, and not before. */
  wish(delay: number): void {
    if (delay) this.wished = now() + delay;
  }

  /** The server takes commands, or has answered the request that names the subscriptions. */
  begin(): void {
    this.#live = now();
    this.setStatus({ state: "live", code: 0, reason: "" });
  }

  /** Since when it is live; 0 if it is not. */
  get isLive(): number {
    return this.#live;
  }

  async #dial(): Promise<void> {
    const dial = ++this.dials;
    const transport = this.#transports[this.#transport]!;
    this.beat = HEARTBEAT;
    this.timer("retry");
    this.setStatus({ state: "connecting", transport, retryAt: null });
    this.timer("open", OPEN_TIMEOUT, () => this.lost(408, "timeout"));
    const on: Listener = {
      open: () => this.#opened(),
      heard: () => {
        this.#heard = now();
        this.#probed = false;
      },
      message: this.#owner.received,
      wait: (delay) => this.wish(delay),
      close: (code, reason) => this.lost(code, reason),
    };
    try {
      this.token = await this.#owner.token();
      const WebSocket = transport === "ws" && (await findWebSocket(this.#options));
      if (dial !== this.dials) return;
      if (WebSocket) this.line = webSocket(WebSocket, this.#url, on);
      else if (transport === "shared") this.line = shared(this.#options.worker, this.#url, on);
      else this.line = fetched(this.#url, transport === "poll", this.#owner.query, this.token, on);
    } catch (error: any) {
      if (dial === this.dials) this.lost(error.code | 0, error.message);
    }
  }

  #opened(): void {
    if (this.#open) return;
    this.#open = true;
    this.#heard = now();
    this.timer("open");
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
    this.#live = 0;
    this.silent.clear();
    for (const name in this.#timers) this.timer(name);
    this.#owner.dropped();
  }

  lost(code: number, reason: string): void {
    const opened = this.#open;
    if (this.#live && now() - this.#live >= STABLE) this.#attempt = 0;
    this.#drop();
    if (code === IDLE && !this.#owner.wants()) return this.#end(code, reason);
    if (isFinal(code)) {
      this.#end(code, reason);
      return this.#owner.emit("error", new TickcastError(code, reason || "refused"));
    }
    if (!opened && this.#tryNext(code)) return void this.#dial();
    if (!opened) this.#best = 0;
    this.#transport = this.#best;
    const wish = this.wished ? Math.max(0, this.wished - now()) : leaving(code);
    this.wished = 0;
    this.#bound = wish !== undefined;
    const delay = wish ?? backoff(this.#attempt++, hidden());
    this.timer("retry", delay, () => this.#dial());
    this.#offline(code, reason, Date.now() + delay);
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
    this.#offline(code, reason, null);
  }

  #offline(code: number, reason: string, retryAt: number | null): void {
    this.setStatus({ state: "offline", transport: null, retryAt, code, reason });
  }

  redial(): void {
    this.#drop();
    this.#dial();
  }

  /** From a fallback, looks for the way back. */
  #upgradeLater(): void {
    const best = this.#transports.indexOf("ws");
    if (best < 0 || best > this.#best) return;
    this.timer("ws", (this.#options.upgradeInterval ?? UPGRADE) * (1 + Math.random()), async () => {
      const dial = this.dials;
      const probe = webSocket(await findWebSocket(this.#options), this.#url, {
        open: () => {
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
    this.timer("hb", this.#probed ? Math.min(PROBE, beat / 2) : beat / 2, () => {
      const quiet = now() - this.#heard;
      if (!this.#probed && quiet < 2 * beat) this.watch();
      else if (this.#probed || !this.#probe()) this.lost(0, "silence");
    });
  }

  #probe(): boolean {
    if (!this.#live || !this.line!.send) return false;
    this.#probed = true;
    this.#owner.ping();
    this.watch();
    return true;
  }

  #listen(): void {
    this.#signals = new AbortController();
    const { signal } = this.#signals;
    const page = globalThis.document;
    const listen = (names: string, f: () => void) => {
      for (const name of names.split(" ")) for (const target of [page, globalThis]) target?.addEventListener?.(name, f, { signal });
    };
    listen("online offline visibilitychange", () => hidden() || this.#wake());
    // A frozen page cannot read, and one with a connection is not kept for the "back" button.
    listen("freeze pagehide", () => (this.line || this.status.retryAt) && this.#end(1000, "frozen"));
    listen("resume pageshow", () => this.status.reason === "frozen" && this.connect());
  }

  /** The network or the page has changed: retries now, or asks whether the line still lives. */
  #wake(): void {
    if (!this.#probe() && !this.#bound && this.status.retryAt) this.#dial();
  }

  setStatus(change: Partial<Status>): void {
    const status = { ...this.status, ...change, stale: [...this.silent] };
    if (this.#live) status.state = status.stale[0] ? "stale" : "live";
    this.#owner.emit("status", (this.status = status));
  }

  /** Sets the line's timer of a name, or clears it. */
  timer(name: string, delay?: number, f?: () => void): void {
    clearTimeout(this.#timers[name]);
    if (f) this.#timers[name] = setTimeout(f, delay);
  }
}
