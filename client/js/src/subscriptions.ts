// The subscriptions of every connection: where their messages go, and how far they have come.

import { backoff } from "./retry.js";
import { covers } from "./topics.js";
import { type Ack, type Emit, type Handler, type Message, type SubscribeOptions, TickcastError, type TopicState } from "./types.js";

const COMMAND_TOPICS = 1_024; // every server takes so many topics in one command

/** How far a subscription is on this connection. */
const enum Is {
  Due,
  Sent,
  Live,
  Refused,
  /** Refused for now. */
  Later,
}

interface Want {
  rate?: string;
  /** Of the messages that come; "" = not known. */
  epoch: string;
  /** Of the last message that was seen. */
  seq: number;
  /** The server may send messages up to there once more, for others that have missed them. */
  again: number;
  reach: Reach;
  lossless: boolean;
  /** A server has said yes before, so that messages can be missed. */
  known: boolean;
  is: Is;
  /** Of the command that asked for it last. */
  id?: number;
  tries: number;
  /** None: unsubscribed, which the server does not know yet. */
  handlers: Set<Handler>;
  /** The newest message of each topic, for handlers that come later. */
  newest: Map<string, Message>;
}

/** By epoch, the newest sequence of all lossless subscriptions that one command or request has asked for: their messages come
 *  in the order of the sequences. */
type Reach = Record<string, number>;

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

/** The halves of a cursor. */
const parse = (cursor?: string | null) => {
  const [epoch, seq = 0] = (cursor ?? "").split(":");
  return { epoch: epoch!, seq: +seq };
};

/** The cursor of the last message; null = not known. */
const cursorOf = ({ epoch, seq }: Want) => (epoch ? epoch + ":" + seq : null);

/** Notes up to where a subscription misses nothing, before other messages count for it, or none. */
function turn(want: Want, is: Is, id: number | undefined, reach: Reach): void {
  want.again = Math.max(want.seq, want.again, want.reach[want.epoch] ?? 0);
  Object.assign(want, { is, id, reach });
}

export class Subscriptions {
  /** Topics and patterns that the server called stale. */
  readonly silent = new Set<string>();
  #emit: Emit;
  #wanted = new Map<string, Want>();
  #routes = new Map<string, Route>();
  #told = new Map<string, TopicState>();

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  want(topics: string[], handler: Handler, { rate, after }: SubscribeOptions): void {
    for (const topic of topics) {
      let want = this.#wanted.get(topic);
      if (!want) {
        want = { ...parse(after), again: 0, reach: {}, known: !!after, lossless: !!after, is: Is.Due, tries: 0, rate, handlers: new Set(), newest: new Map() };
        this.#wanted.set(topic, want);
        for (const [, route] of this.#under(topic)) route.to.push(topic);
      }
      const { handlers, newest } = want;
      if (want.rate !== rate) want.is = Is.Due;
      want.rate = rate;
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
    this.silent.clear();
    for (const want of this.#wanted.values()) want.is = Is.Due;
  }

  // ---- what to ask for

  /** The commands that bring the server up to date, each within its limits. nextId numbers them. */
  *commands(bytes: number, nextId: () => number): Generator<string> {
    const gone = this.#forgetGone();
    if (gone.length) yield* this.#pack("unsub", gone, bytes, nextId);
    const due = [...this.#wanted].filter(([, want]) => want.is === Is.Due);
    for (const rate of new Set(due.map(([, want]) => want.rate))) {
      const topics = due.filter(([, want]) => want.rate === rate).map(([topic]) => topic);
      yield* this.#pack("sub", topics, bytes, nextId, rate);
    }
  }

  /** One command, or two halves of it if it is beyond the limits. */
  *#pack(op: string, topics: string[], bytes: number, nextId: () => number, rate?: string): Generator<string> {
    const id = nextId();
    const after: Record<string, string> = {};
    const reach = {};
    for (const topic of topics) {
      const want = this.#wanted.get(topic);
      if (want) turn(want, Is.Sent, id, reach);
      const cursor = this.cursor(topic);
      if (cursor) after[topic] = cursor;
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
    const rate = wants[0]?.rate;
    const reach: Reach = {}; // begins with the lowest
    for (const want of wants) {
      turn(want, Is.Sent, undefined, reach);
      if (want.lossless && want.epoch && !(reach[want.epoch]! <= want.again)) reach[want.epoch] = want.again;
    }
    return { topics: JSON.stringify([...this.#wanted.keys()]), after: Object.entries(reach).map((cursor) => cursor.join(":")).join(), ...(rate && wants.every((want) => want.rate === rate) && { rate }) };
  };

  /** Whether the server does not know yet what is wanted. */
  get isDue(): boolean {
    return [...this.#wanted.values()].some((want) => !want.handlers.size || want.is === Is.Due);
  }

  /** Asks again for what the server could not give. */
  again(): void {
    for (const want of this.#wanted.values()) if (want.is === Is.Later) want.is = Is.Due;
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
    return gone.filter(([, { is }]) => is === Is.Sent || is === Is.Live).map(([key]) => key);
  }

  // ---- what comes

  deliver(m: Message): void {
    const route = this.#route(m.t);
    const snap = m.k === "snap";
    if (!snap && m.p && m.s > route.last! && m.p !== route.last) this.gap(m.t, "missing");
    route.last = m.s;
    for (const key of [...route.to]) {
      const want = this.#wanted.get(key)!;
      if (m.p !== undefined) {
        want.lossless = true; // the mode of a pattern over several classes says nothing
        if (m.s <= want.again) continue;
        if (!snap && want.epoch && want.is === Is.Live) want.reach[want.epoch] = m.s;
      }
      want.seq = snap && want.seq > m.s ? want.seq : m.s;
      want.newest.set(m.t, m);
      for (const handler of want.handlers) call(handler, m);
    }
  }

  /** Messages of a topic are lost behind the last one. */
  gap(topic: string, why: string): void {
    const route = this.#route(topic);
    const wants = route.to.map((key) => this.#wanted.get(key)!);
    route.last = undefined;
    for (const want of wants) want.again = 0; // sequences may begin again
    if (wants.some(({ lossless }) => lossless)) this.#emit("lost", { topic, from: wants.map(cursorOf).find(Boolean) ?? null, why });
  }

  /** An answer to a sub, or to an auth whose token covers less (103). Returns the milliseconds until again() helps, or nothing. */
  acked({ id, topics = [], errors = [] }: Ack): number | undefined {
    for (const { t, mode, cursor, recovered } of topics) {
      const want = this.#wanted.get(t);
      if (!want || want.id !== id) continue;
      want.lossless ||= mode === "all";
      const from = cursorOf(want);
      if (!recovered) {
        if (want.known && want.lossless) this.#emit("lost", { topic: t, from, why: from ? "not recovered" : "no cursor" });
        for (const [, route] of this.#under(t)) route.last = undefined;
        want.again = 0;
      }
      if (!recovered || !from) Object.assign(want, parse(cursor));
      Object.assign(want, { is: Is.Live, known: true, tries: 0 });
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
    const topics = [...this.#wanted].filter(([, want]) => want.id === id && want.is === Is.Sent);
    return this.acked({ op: "", id, errors: topics.map(([t]) => ({ t, code, msg })) });
  }

  /** 100 internal error, 106 limit exceeded, 108 not available and 111 too many requests may pass. Of these, only the first
   *  in a row is told. */
  #refuse(topic: string, want: Want, code: number, msg: string): number | undefined {
    if (want.is >= Is.Refused) return; // each answer to a poll says no
    const retry = [100, 106, 108, 111].includes(code);
    turn(want, retry ? Is.Later : Is.Refused, want.id, {});
    if (!want.tries) this.#emit("error", new TickcastError(code, msg, topic, retry));
    if (retry) return backoff(want.tries++);
  }

  // ---- routes and states

  #route(topic: string): Route {
    let route = this.#routes.get(topic);
    if (!route) this.#routes.set(topic, (route = { to: this.#over(topic) }));
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
    if (all.includes(Is.Live)) return [...this.silent].some((pattern) => covers(pattern, topic)) ? "stale" : "live";
    return all.length === 0 ? "none" : all.every((is) => is === Is.Refused) ? "refused" : "waiting";
  }

  /** Tells the states that have changed. */
  tell(): void {
    const topics = new Set([...this.#wanted.keys(), ...this.silent]);
    for (const topic of new Set([...topics, ...this.#told.keys()])) {
      const state = this.state(topic);
      if ((this.#told.get(topic) ?? "none") !== state) this.#emit("topic", { topic, state });
      if (topics.has(topic)) this.#told.set(topic, state);
      else this.#told.delete(topic);
    }
  }

  cursor(topic: string): string | null {
    const want = this.#wanted.get(topic);
    return want?.lossless ? cursorOf(want) : null;
  }
}
