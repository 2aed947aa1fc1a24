// The transports: a connection as lines of text, whatever carries them.

import { NO_WEBSOCKET } from "./retry.js";
import { type Options, TickcastError } from "./types.js";

const EVENTS = "text/event-stream";

/** What hears a line. After the line's close() it hears nothing more. */
export interface Listener {
  /** The line is open, and the server is alive. */
  heard(): void;
  /** A message of the server, heard before. */
  received(message: any): void;
  /** The server wishes that the client comes back in so many milliseconds, and not before. */
  wish(min: number): void;
  /** The end. code is a close code, an HTTP status, or 0 if the server was not reached. */
  lost(code: number, reason: string): void;
}

export interface Line {
  /** Undefined where commands cannot be sent: the request names all subscriptions. */
  send?: (text: string) => void;
  close(): void;
}

/** The WebSocket of the options, of the platform, or of npm's ws. */
export async function findWebSocket(options: Options): Promise<any> {
  const found = options.WebSocket ?? globalThis.WebSocket;
  if (found) return found;
  try {
    const name = (globalThis as any).process && "ws"; // no literal: bundlers for browsers would look for it
    return (await import(name)).WebSocket;
  } catch {
    throw new TickcastError(NO_WEBSOCKET, "no WebSocket: npm install ws");
  }
}

export function webSocket(WebSocket: any, url: string, on: Pick<Listener, "heard"> & Partial<Listener>): Line {
  const socket = new WebSocket(url.replace("http", "ws"), ["tickcast.v1.json"]);
  socket.onopen = () => on.heard();
  socket.onmessage = (event: any) => {
    on.heard();
    on.received?.(JSON.parse(event.data));
  };
  socket.onclose = (event: any) => on.lost?.(event.code, event.reason);
  socket.onerror = () => {}; // close follows; without a listener, npm's ws ends the process
  return {
    send: (text) => socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(1000);
    },
  };
}

/** The connection of a SharedWorker, which is a server to its tabs. */
export function shared(worker: string | URL | undefined, url: string, on: Listener): Line {
  const shared = new SharedWorker(worker ?? new URL("tickcast-worker.js", url), { type: "module", name: url });
  const { port } = shared;
  shared.onerror = () => on.lost(404, "no");
  port.onmessage = ({ data }) => {
    on.heard();
    on.received(data);
  };
  return {
    send: (text) => port.postMessage(text),
    close() {
      port.onmessage = null;
      port.postMessage(0);
    },
  };
}

/** Server-Sent Events or, with poll, one request after another. query gives the form of the next request. */
export function fetched(url: string, poll: boolean, query: () => Record<string, string>, token: string | undefined, on: Listener): Line {
  const abort = new AbortController();
  const { signal } = abort;
  const run = async () => {
    const form = query();
    if (poll) form.wait = "0s"; // the first answer says that there is a way
    do {
      const response = await ask(url, form, token, signal, poll ? undefined : EVENTS);
      const { headers, ok, status } = response;
      on.wish(+headers.get("Retry-After")! * 1_000);
      if (!ok || !(poll || headers.get("Content-Type")?.startsWith(EVENTS))) return on.lost(ok ? 406 : status, "HTTP " + status);
      if (!poll) await events(response.body!, signal, on);
      on.heard();
      // Nothing new means that nothing is missing.
      const messages = status === 204 ? [{ op: "ack", topics: JSON.parse(form.topics!).map((t: string) => ({ t, recovered: true })) }] : await response.json();
      for (const message of messages) signal.aborted || on.received(message);
      Object.assign(form, { wait: "25s", after: headers.get("Tickcast-Cursor") ?? form.after });
    } while (!signal.aborted);
  };
  run().catch((error) => signal.aborted || on.lost(0, error.message));
  return { close: () => abort.abort() };
}

/** A request. A form needs no preflight at another origin; a token does. */
export function ask(url: string | URL, query: Record<string, string>, token?: string, signal?: AbortSignal, accept = "*/*"): Promise<Response> {
  const target = new URL(url);
  const form = new URLSearchParams(query);
  const long = (form + "").length >= 4_000;
  if (!long) target.search += (target.search && "&") + form;
  return fetch(target, {
    ...(long && { method: "POST", body: form }),
    headers: { Accept: accept, ...(token && { Authorization: "Bearer " + token }) },
    signal,
  });
}

/** Reads an event stream to its end, which is an error. */
async function events(body: ReadableStream<Uint8Array>, signal: AbortSignal, on: Listener): Promise<never> {
  const reader = body.pipeThrough(new TextDecoderStream() as any).getReader() as ReadableStreamDefaultReader<string>;
  let text = "";
  let data = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw Error("end");
    on.heard();
    const lines = (text + value).split(/\r?\n/);
    text = lines.pop()!;
    for (const line of lines) {
      signal.throwIfAborted();
      const [, field, value] = /^(\w*):? ?(.*)/s.exec(line)!;
      if (field === "data") data += value;
      else if (field === "retry") on.wish(+value!);
      else if (!line && data) {
        on.received(JSON.parse(data));
        data = "";
      }
    }
  }
}
