// The client of Tickcast.
//
//   import { Tickcast } from "tickcast";
//
//   const client = new Tickcast("wss://ticks.example.com/stream");
//   client.on("lost", ({ topic, from }) => reload(topic, from));
//   const stop = client.subscribe(["px.AAPL", "px.FX.*"], (m) => console.log(m.t, m.d));

import { Connection, Timer } from "./connection.js";
import { IDLE } from "./retry.js";
import { Subscriptions, call, uncaught } from "./subscriptions.js";
import { ask } from "./transport.js";
import { type Ack, type Emit, type Events, type Handler, type Message, type Options, type Status, type SubscribeOptions, TickcastError, type TopicState } from "./types.js";

export { covers } from "./topics.js";
export * from "./types.js";

const GATHER = 50; // ms before a request that names all subscriptions is made anew
const MAX_COMMANDS = 256; // that wait for an answer

/** A command without an answer. */
interface Pending {
  answered(ack: Ack): void;
  failed(error: TickcastError): void;
  pages?: Ack; // so far
  unsent?: string;
}

const list = (topics: string | readonly string[]) => [topics].flat() as string[];

export class Tickcast {
  /** The stream's absolute URL. */
  readonly url: string;

  #options: Options;
  #connection: Connection;
  #subs: Subscriptions;
  #listeners: { [K in keyof Events]?: Set<(event: Events[K]) => void> } = {};
  #pending = new Map<number, Pending>();
  #lastId = 0;
  #nextId = () => ++this.#lastId;
  #bytes = 0; // the longest message that the server takes
  #idle = true; // connected by the first subscription or command
  #turn = false; // an update is scheduled

  /** Makes a client; the first subscription or command connects it. The URL may be relative to the page; ws, wss, http and
   *  https mean the same. */
  constructor(url = "stream", options: Options = {}) {
    this.#options = options;
    this.url = new URL(url, globalThis.location?.href).href.replace(/^ws/, "http");
    this.#subs = new Subscriptions(this.#emit);
    this.#connection = new Connection(this.url, options, this.#subs, {
      emit: this.#emit,
      token: this.#token,
      received: this.#received,
      begin: this.#begin,
      dropped: () => this.#fail(true),
      ping: () => this.request({ op: "ping" }).catch(() => {}),
    });
  }

  get status(): Status {
    return this.#connection.status;
  }

  /** Connects at once: the first time, in place of the wait for the next attempt, or after a refusal that was final. */
  connect(): void {
    this.#idle = false;
    this.#connection.connect();
  }

  /** Ends the connection. Subscriptions stay, for the next connect. */
  close(): void {
    this.#idle = false;
    this.#connection.close();
    this.#fail(false);
  }

  /** Subscribes a handler to topics or patterns, now and on every later connection. A handler that comes later gets the
   *  newest messages first, as snapshots. The newest rate of a topic counts for all its handlers. Returns the function that
   *  takes the handler off again; a topic without handlers is unsubscribed. */
  subscribe<D = any>(topics: string | readonly string[], handler: Handler<D>, options: SubscribeOptions = {}): () => void {
    const keys = list(topics);
    this.#subs.want(keys, handler, options);
    this.#start();
    this.#updateSoon();
    return () => {
      this.#subs.unwant(keys, handler);
      this.#updateSoon();
    };
  }

  /** Takes all handlers off. */
  unsubscribe(topics: string | readonly string[]): void {
    this.#subs.unwant(list(topics));
    this.#updateSoon();
  }

  /** Publishes; resolves once the server has accepted the message. */
  async publish(topic: string, data: unknown): Promise<void> {
    await this.request({ op: "pub", topic, data });
  }

  /** The newest messages of topics, asked for once. Topics that are refused beside others are events of their own. */
  async latest<D = any>(topics: string | readonly string[]): Promise<Message<D>[]> {
    const response = await ask(new URL("latest", this.url), { topics: JSON.stringify(list(topics)) }, await this.#token());
    if (!response.ok) throw new TickcastError(response.status, await response.text());
    const messages: any[] = await response.json();
    for (const { t, code, msg } of messages[0]?.errors ?? []) this.#emit("error", new TickcastError(code, msg, t));
    return messages.filter((message) => message.t);
  }

  /** Sends any other command, such as {op: "list"}, once there is a connection. Resolves to the whole answer. */
  request(command: Record<string, unknown>): Promise<Ack> {
    this.#start();
    return this.#command(command, this.#connection.isLive);
  }

  /** Calls f at each such event, until the function that comes back is called. */
  on<K extends keyof Events>(name: K, f: (event: Events[K]) => void): () => void {
    const set = ((this.#listeners as any)[name] ??= new Set());
    set.add(f);
    return () => set.delete(f);
  }

  /** The state of a topic or pattern. */
  state(topic: string): TopicState {
    return this.#subs.state(topic);
  }

  /** The cursor of the last message of a subscription of mode "all", to subscribe with `after` another day; null if there is
   *  none. */
  cursor(topic: string): string | null {
    return this.#subs.cursor(topic);
  }

  #start(): void {
    if (this.#idle || this.status.code === IDLE) this.connect();
  }

  // ---- messages

  #received = (m: any): void => {
    const { silent } = this.#subs;
    switch (m.op) {
      case undefined:
        return this.#subs.deliver(m);
      case "hb":
        return;
      case "ack":
        return this.#acked(m);
      case "err":
        return this.#refused(m);
      case "lag":
        return this.#emit("lag", m);
      case "hello":
        this.#hello(m);
        break;
      case "stale":
      case "fresh": // ends what stale began in the same words: ">" is the server's feed, a topic its own silence
        for (const topic of m.topics) silent[m.op === "stale" ? "add" : "delete"](topic);
        this.#connection.setStatus({});
        break;
      case "gap":
        this.#subs.gap(m.t, m.why);
        break;
      case "drain":
        this.#connection.wish(m.after[0], m.after[1]);
        break;
      case "close": // of a line that has no close codes
        return this.#connection.lost(m.code, m.reason);
      case "expire":
        this.#refresh().catch(() => {});
    }
    this.#emit("notice", m);
  };

  #hello({ heartbeat, limits }: any): void {
    this.#connection.beat = heartbeat;
    this.#bytes = limits.message_bytes;
    this.#connection.watch();
    const { line, token } = this.#connection;
    if (token && line!.send) this.#command({ op: "auth", token }, true).then(this.#begin, this.#begin); // a server without tokens refuses it, others close
    else if (line!.send) this.#begin();
  }

  /** The server takes commands, or has answered a request that names the subscriptions. */
  #begin = (): void => {
    if (!this.#connection.line) return;
    this.#connection.begin();
    for (const id of this.#pending.keys()) this.#send(id);
    this.#update();
  };

  #acked(ack: any): void {
    this.#again(this.#subs.acked(ack));
    const pending = this.#pending.get(ack.id);
    if (!pending) return;
    for (const name of ["topics", "errors"] as const) {
      const earlier = pending.pages?.[name];
      if (earlier) ack[name] = [...earlier, ...(ack[name] ?? [])];
    }
    pending.pages = ack;
    if (!ack.more) this.#settle(ack.id)!.answered(ack);
  }

  #refused({ id, code, msg }: any): void {
    this.#again(this.#subs.refused(id, code, msg));
    const error = new TickcastError(code, msg);
    if (id) this.#settle(id)?.failed(error);
    else this.#emit("error", error);
  }

  /** Asks again for subscriptions that the server could not give. */
  #again(delay: number | undefined): void {
    this.#updateSoon();
    if (delay)
      this.#connection.timer(Timer.Again, delay, () => {
        this.#subs.again();
        this.#update();
      });
  }

  #emit: Emit = (name, event) => {
    const listeners = this.#listeners[name];
    if (name === "status") this.#updateSoon();
    if (listeners?.size) for (const f of listeners) call(f, event);
    else if (name === "lost") {
      const { topic, from, why } = event as Events["lost"];
      uncaught(new TickcastError(112, `${topic} lost messages after ${from}: ${why}`, topic));
    } else if (name === "error" && !(event as TickcastError).retry) uncaught(event);
  };

  // ---- commands

  /** Gathers what happens in one turn. */
  #updateSoon(): void {
    if (!this.#turn) queueMicrotask(() => this.#update());
    this.#turn = true;
  }

  /** Brings the server up to date with the application, and the application with the server. */
  #update(): void {
    this.#turn = false;
    const { line, isLive } = this.#connection;
    if (isLive && line?.send) {
      for (const command of this.#subs.commands(this.#bytes, this.#nextId)) line!.send!(command);
    } else if (isLive && this.#subs.isDue) {
      this.#connection.timer(Timer.Ask, GATHER, () => this.#connection.redial());
    }
    this.#subs.tell();
  }

  #command(command: Record<string, unknown>, now: unknown): Promise<Ack> {
    return new Promise((answered, failed) => {
      if (this.#pending.size >= MAX_COMMANDS) return failed(new TickcastError(106, "full"));
      const id = this.#nextId();
      this.#pending.set(id, { answered, failed, unsent: JSON.stringify({ ...command, id }) });
      if (now) this.#send(id);
    });
  }

  #send(id: number): void {
    const pending = this.#pending.get(id)!;
    const { line } = this.#connection;
    if (!line!.send) return this.#settle(id)!.failed(new TickcastError(108, "no WebSocket"));
    if (pending.unsent) line!.send(pending.unsent);
    pending.unsent = "";
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  /** The line is gone. Commands that are still queued may outlive it. */
  #fail(queued: boolean): void {
    for (const [id, { unsent }] of this.#pending) if (!(queued && unsent)) this.#settle(id)!.failed(new TickcastError(0, "closed"));
  }

  // ---- tokens

  #token = async (): Promise<string | undefined> => {
    const { token } = this.#options;
    return (typeof token === "function" ? await token() : token) || undefined;
  };

  /** Sends a new token in place of one that expires. If there is none, the server closes. */
  async #refresh(): Promise<void> {
    const token = await this.#token();
    const { line } = this.#connection;
    if (line?.send) await this.#command({ op: "auth", token }, true);
    else if (line) this.#connection.redial();
  }
}
