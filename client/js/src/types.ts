// What an application sees: messages, events, options and errors.

/** A message of a topic. Its payload is what the publisher sent, so `D` is the application's own promise. */
export interface Message<D = any> {
  /** The topic, such as "px.AAPL". */
  t: string;
  /** The sequence number, which grows along the topic. */
  s: number;
  /** The sequence number of the message before it, on topics of mode "all"; 0 if it is not known. */
  p?: number;
  /** "snap" for a snapshot: the newest message as of the subscription, not a new one. */
  k?: "snap";
  /** The payload. */
  d: D;
}

export type Handler<D = any> = (message: Message<D>) => void;

/** Messages of a topic of mode "all" did not arrive and will not. */
export interface Lost {
  /** A topic, or the pattern of a subscription of which any topic may have lost messages. */
  topic: string;
  /** The cursor of the last message before the loss; null if it is not known. */
  from: string | null;
  why: string;
}

/** - "connecting": an attempt is under way
 *  - "live": the server is heard
 *  - "stale": the server is heard, but has no feed for the topics in `stale`
 *  - "offline": no connection, and none under way */
export type State = "connecting" | "live" | "stale" | "offline";

/** A WebSocket, a SharedWorker's connection, Server-Sent Events, or long polling. */
export type TransportName = "ws" | "shared" | "sse" | "poll";

export interface Status {
  state: State;
  /** Of the connection, or of the attempt under way; null while offline. */
  transport: TransportName | null;
  /** Topics and patterns whose silence means nothing. */
  stale: string[];
  /** Time of the next attempt, as of Date.now(); null without one. */
  retryAt: number | null;
  /** Why the last connection ended: a close code, an HTTP status, or 0 for neither. */
  code: number;
  reason: string;
}

/** - "none": no subscription covers the topic
 *  - "waiting": the server has not answered on the present connection
 *  - "refused": the server's answer was no
 *  - "live": the newest value is here as soon as the server has it
 *  - "stale": it is not: silence means nothing */
export type TopicState = "none" | "waiting" | "refused" | "live" | "stale";

/** A message without a topic: hello, gap, stale, fresh, expire, drain, and what later servers say. */
export interface Notice {
  op: string;
  [field: string]: any;
}

/** The server's answer to a command. */
export interface Ack extends Notice {
  topics?: { t: string; mode?: "last" | "all"; cursor?: string; rate?: string; recovered?: boolean }[];
  errors?: { t: string; code: number; msg: string }[];
  ts?: number;
}

/** An error of the server or of the client.
 *
 *  `code` is one of the server's error codes (100 to 199), an HTTP status (400 to 599), a close code (1000 and above),
 *  or 0 for what happened in the client: no connection, no answer, no WebSocket. */
export class TickcastError extends Error {
  declare readonly code: number;
  declare readonly topic?: string;
  /** The client tries again by itself. */
  declare readonly retry: boolean;
  constructor(code: number, message: string, topic?: string, retry = false) {
    super(message);
    Object.assign(this, { name: "TickcastError", code, topic, retry });
  }
}

export interface Events {
  /** The connection's state changed. */
  status: Status;
  /** The state of a subscription, or of a topic that is stale by itself, changed. */
  topic: { topic: string; state: TopicState };
  /** Messages are lost. Without a listener it is thrown as an uncaught error. */
  lost: Lost;
  /** A subscription, a token or a connection was refused. Without a listener it is thrown as an uncaught error, unless the
   *  client tries again by itself. */
  error: TickcastError;
  /** The client read too slowly: so many messages of topics of mode "last" were replaced by newer ones. */
  lag: { conflated: number; dropped: number };
  /** Any other message of the server. */
  notice: Notice;
}

export type Emit = <K extends keyof Events>(name: K, event: Events[K]) => void;

export type Token = string | null | undefined;

export interface Options {
  /** A token, or a function that gives one for each connection and again when the server says that it expires. */
  token?: Token | (() => Token | Promise<Token>);
  /** The transports to try, in this order. By default all: a WebSocket for each tab, but one fallback for all tabs, since a
   *  browser allows six requests to a host. Put "shared" first and all tabs always share one connection. */
  transports?: TransportName[];
  /** Milliseconds between attempts to come back from a fallback to WebSocket. By default a minute. */
  upgradeInterval?: number;
  /** A class like the browser's WebSocket. By default the built-in one, else npm's ws. */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** The script of the SharedWorker, on the page's own origin. By default "tickcast-worker.js" beside the stream. */
  worker?: string | URL;
}

export interface SubscribeOptions {
  /** A pace such as "250ms": at most one message in that time, the newest. */
  rate?: string;
  /** A cursor that the application kept: resumes behind it. */
  after?: string | null;
}
