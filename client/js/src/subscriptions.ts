// The subscriptions of every connection: where their messages go, and how far they have come.

import { backoff } from "./retry.js";
import { covers } from "./topics.js";
import { type Ack, type Emit, type Handler, type Message, type SubscribeOptions, TickcastError, type TopicState } from "./types.js";

const COMMAND_TOPICS = 1_024; // every server takes so many topics in one command

interface Want {
  rate?: string;
  /** Of the last message that was seen; "" = not known. */
  seen: string;
  /** Of the messages that come. */
  epoch: string;
  lossless: boolean;
  /** A server has said yes before, so that messages can be missed. */
  known: boolean;
  is: "due" | "sent" | "live" | "refused" | "later";
  /** Of the command that asked for it last. */
  id?: number;
  tries: number;
  /** None: unsubscribed, which the server does not know yet. */
  handlers: Set<Handler>;
  /** The newest message of each topic, for handlers that come later. */
  newest: Map<string, Message>;
}

/** Where the messages of a topic go. */
interface Route {
  to: string[];
  /** s of the newest message. */
  last?: number;
}

const utf8 = new TextEncoder();

/** Throws where nobody catches: the console shows it, and Node.js ends. */
export const uncaught = (error: unknown) =>
  queueMicrotask(() => {
    throw error;
  });

/** One handler's error does not keep messages from others. */
export function call<T>(f: (argument: T) => void, argument: T): void {
  try {
    f(argument);
  } catch (error) {
    uncaught(error);
  }
}

/** The second half of a cursor; NaN if it has none. */
const sequence = (cursor: string) => Number(cursor.split(":")[1]);

export class Subscriptions {
  #silent: Set<string>;
  #emit: Emit;
  #wanted = new Map<string, Want>();
  #routes = new Map<string, Route>();
  #told = new Map<string, TopicState>();

  constructor(silent: Set<string>, emit: Emit) {
    this.#silent = silent;
    this.#emit = emit;
  }

  want(topics: string[], handler: Handler, { rate, after }: SubscribeOptions): void {
    for (const topic of topics) {
      let want = this.#wanted.get(topic);
      if (!want) {
        const known = !!after;
        want = { seen: after ?? "", epoch: after?.split(":")[0] ?? "", lossless: known, known, is: "due", tries: 0, rate, handlers: new Set(), newest: new Map() };
        this.#wanted.set(topic, want);
        for (const [, route] of this.#under(topic)) route.to.push(topic);
      }
      if (want.rate !== rate) want.is = "due";
      want.rate = rate;
      const { handlers, newest } = want;
      if (handlers.has(handler)) continue;
      handlers.add(handler);
      for (const message of newest.values()) queueMicrotask(() => handlers.has(handler) && call(handler, { ...message, k: "snap" }));
    }
  }

  /** Takes one handler off, or all. */
  unwant(topics: string[], handler?: Handler): void {
    for (const topic of topics) {
      const handlers = this.#wanted.get(topic)?.handlers;
      if (handler) handlers?.delete(handler);
      else handlers?.clear();
    }
  }

  /** The connection has ended. */
  reset(): void {
    this.#forgetGone();
    for (const want of this.#wanted.values()) want.is = "due";
  }

  // ---- what to ask for

  /** The commands that bring the server up to date, each within its limits. nextId numbers them. */
  *commands(bytes: number, nextId: () => number): Generator<string> {
    const gone = this.#forgetGone();
    if (gone.length) yield* this.#pack("unsub", gone, bytes, nextId);
    const due = [...this.#wanted].filter(([, want]) => want.is === "due");
    for (const rate of new Set(due.map(([, want]) => want.rate))) {
      const topics = due.filter(([, want]) => want.rate === rate).map(([topic]) => topic);
      yield* this.#pack("sub", topics, bytes, nextId, rate);
    }
  }

  /** One command, or two halves of it if it is beyond the limits. */
  *#pack(op: string, topics: string[], bytes: number, nextId: () => number, rate?: string): Generator<string> {
    const id = nextId();
    const after: Record<string, string> = {};
    for (const topic of topics) {
      const want = this.#wanted.get(topic);
      if (want) Object.assign(want, { id, is: "sent" });
      if (want?.lossless && want.seen) after[topic] = want.seen;
    }
    const text = JSON.stringify({ op, id, topics, rate, after: Object.keys(after)[0] && after });
    const half = topics.length >> 1;
    if (half && (topics.length > COMMAND_TOPICS || utf8.encode(text).length > bytes)) {
      yield* this.#pack(op, topics.slice(0, half), bytes, nextId, rate);
      yield* this.#pack(op, topics.slice(half), bytes, nextId, rate);
    } else yield text;
  }

  /** The subscriptions as the query of a request. */
  query = (): Record<string, string> => {
    this.#forgetGone();
    const wants = [...this.#wanted.values()];
    const [rate, other] = new Set(wants.map((want) => want.rate));
    const after: Record<string, string> = {}; // by epoch, in which the order is that of the sequences
    for (const want of wants) {
      if (want.is === "due") Object.assign(want, { id: undefined, is: "sent" });
      const { lossless, seen, epoch } = want;
      if (lossless && !(sequence(seen) <= sequence(after[epoch] ?? ""))) after[epoch] = seen;
    }
    return { topics: JSON.stringify([...this.#wanted.keys()]), after: Object.values(after).join(), ...(rate && !other && { rate }) };
  };

  /** Whether the server does not know yet what is wanted. */
  get isDue(): boolean {
    return [...this.#wanted.values()].some((want) => !want.handlers.size || want.is === "due");
  }

  /** Asks again for what the server could not give. */
  again(): void {
    for (const want of this.#wanted.values()) if (want.is === "later") want.is = "due";
  }

  /** Returns those of which the server has to know. */
  #forgetGone(): string[] {
    const gone = [...this.#wanted].filter(([, want]) => !want.handlers.size);
    for (const [key] of gone) {
      this.#wanted.delete(key);
      for (const [topic, route] of this.#under(key)) {
        route.to = route.to.filter((other) => other !== key);
        if (!route.to.length) this.#routes.delete(topic);
      }
    }
    return gone.filter(([, { is }]) => is === "sent" || is === "live").map(([key]) => key);
  }

  // ---- what comes

  deliver(m: Message): void {
    const route = this.#route(m.t);
    const snap = m.k === "snap";
    if (!snap && m.p && route.last !== undefined && m.p !== route.last) this.gap(m.t, "missing");
    route.last = m.s;
    for (const key of [...route.to]) {
      const want = this.#wanted.get(key)!;
      if (m.p !== undefined) want.lossless = true; // the mode of a pattern over several classes says nothing
      if (want.epoch && !(snap && m.s < sequence(want.seen))) want.seen = want.epoch + ":" + m.s;
      want.newest.set(m.t, m);
      for (const handler of want.handlers) call(handler, m);
    }
  }

  /** Messages of a topic are lost behind the last one. */
  gap(topic: string, why: string): void {
    const route = this.#route(topic);
    const wants = route.to.map((key) => this.#wanted.get(key)!);
    route.last = undefined;
    if (wants.some(({ lossless }) => lossless)) this.#emit("lost", { topic, from: wants.find(({ seen }) => seen)?.seen ?? null, why });
  }

  /** An answer to a sub, or to an auth whose token covers less (103). Returns the milliseconds until again() helps, or nothing. */
  acked({ id, topics = [], errors = [] }: Ack): number | undefined {
    for (const { t, mode, cursor = "", recovered } of topics) {
      const want = this.#wanted.get(t);
      if (!want || want.id !== id) continue;
      want.lossless ||= mode === "all";
      if (!recovered) {
        if (want.known && want.lossless) this.#emit("lost", { topic: t, from: want.seen || null, why: want.seen ? "not recovered" : "no cursor" });
        for (const [, route] of this.#under(t)) route.last = undefined;
        want.seen = cursor;
        want.epoch = cursor.split(":")[0]!;
      }
      Object.assign(want, { known: true, is: "live", tries: 0 });
    }
    let delay: number | undefined;
    for (const { t, code, msg } of errors) {
      const want = this.#wanted.get(t);
      if (want && (want.id === id || code === 103)) delay = this.#refuse(t, want, code, msg) ?? delay;
    }
    return delay;
  }

  /** A command was refused as a whole. */
  refused(id: unknown, code: number, msg: string): number | undefined {
    const topics = [...this.#wanted].filter(([, want]) => want.id === id && want.is === "sent");
    return this.acked({ op: "", id, errors: topics.map(([t]) => ({ t, code, msg })) });
  }

  /** 100 internal error, 106 limit exceeded, 108 not available and 111 too many requests may pass. Of these, only the first
   *  in a row is told. */
  #refuse(topic: string, want: Want, code: number, msg: string): number | undefined {
    const retry = [100, 106, 108, 111].includes(code);
    want.is = retry ? "later" : "refused";
    if (!want.tries) this.#emit("error", new TickcastError(code, msg, topic, retry));
    return retry ? backoff(want.tries++) : undefined;
  }

  // ---- routes and states

  #route(topic: string): Route {
    let route = this.#routes.get(topic);
    if (!route) {
      this.#routes.set(topic, (route = { to: this.#over(topic) }));
    }
    return route;
  }

  #over(topic: string): string[] {
    return [...this.#wanted.keys()].filter((key) => covers(key, topic));
  }

  /** The routes of a subscription: a topic has one. */
  #under(key: string): [string, Route][] {
    if (/[*>]/.test(key)) return [...this.#routes].filter(([topic]) => covers(key, topic));
    const route = this.#routes.get(key);
    return route ? [[key, route]] : [];
  }

  state(topic: string): TopicState {
    const all = (this.#wanted.has(topic) ? [topic] : this.#over(topic)).map((key) => this.#wanted.get(key)!.is);
    if (all.includes("live")) return [...this.#silent].some((pattern) => covers(pattern, topic)) ? "stale" : "live";
    return !all[0] ? "none" : all.every((is) => is === "refused") ? "refused" : "waiting";
  }

  /** Tells the states that have changed. */
  tell(): void {
    for (const topic of new Set([...this.#wanted.keys(), ...this.#silent, ...this.#told.keys()])) {
      const state = this.state(topic);
      if ((this.#told.get(topic) ?? "none") !== state) this.#emit("topic", { topic, state });
      if (this.#wanted.has(topic) || this.#silent.has(topic)) this.#told.set(topic, state);
      else this.#told.delete(topic);
    }
  }

  cursor(topic: string): string | null {
    const want = this.#wanted.get(topic);
    return (want?.lossless && want.seen) || null;
  }
}
