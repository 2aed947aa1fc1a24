// The SharedWorker that lets the tabs of a browser share one connection. To a tab it is a server that speaks the protocol in
// messages; to the server it is one client with the subscriptions of all tabs. Its name is the stream's URL.

import { type Ack, Tickcast, type TickcastError, type TopicState, covers } from "./tickcast.js";

/** A tab. */
interface Tab {
  post(message: object): void;
  stops: Map<string, () => void>; // by topic
}

const worker = globalThis as unknown as { name: string; onconnect: (event: MessageEvent) => void };
const tabs = new Set<Tab>();
let token: string | undefined;
let hello = {};
let connected = false; // as told to the tabs

const client = new Tickcast(worker.name, { transports: ["ws", "sse", "poll"], token: () => token });

const tell = (message: object, topic?: string) => {
  for (const tab of tabs) if (!topic || [...tab.stops.keys()].some((key) => covers(key, topic))) tab.post(message);
};

client.on("notice", (notice) => {
  if (notice.op === "hello") hello = notice;
  else if (notice.op !== "gap" && notice.op !== "drain") tell(notice);
});
client.on("error", () => {}); // told where it belongs
client.on("lag", (lag) => tell(lag));
client.on("lost", ({ topic, why }) => tell({ op: "gap", t: topic, why }, topic));
client.on("status", ({ state, code, reason }) => {
  const now = state === "live" || state === "stale";
  if (now !== connected) tell({ op: now ? "fresh" : "stale", topics: [">"], why: reason || "connecting" });
  connected = now;
  if (state === "offline" && client.status.retryAt === null && code >= 4500) tell({ op: "close", code, reason });
});

worker.onconnect = ({ ports: [port] }) => {
  const tab: Tab = { post: (message) => port!.postMessage(message), stops: new Map() };
  tabs.add(tab);
  const gone = () => {
    for (const stop of tab.stops.values()) stop();
    tabs.delete(tab);
    port!.close();
  };
  port!.addEventListener("close", gone); // where browsers tell
  port!.onmessage = ({ data }) => (data ? carryOut(tab, JSON.parse(data)) : gone());
  tab.post({ ...hello, op: "hello", heartbeat: 0, limits: { message_bytes: 1e9 } });
  if (!connected) tab.post({ op: "stale", topics: [">"], why: "connecting" });
};

async function carryOut(tab: Tab, { op, id, topics = [], after = {}, rate, ...rest }: any): Promise<void> {
  try {
    switch (op) {
      case "sub":
        return subscribe(tab, id, topics, after, rate);
      case "unsub":
        for (const topic of topics) {
          tab.stops.get(topic)?.();
          tab.stops.delete(topic);
        }
        return tab.post({ op: "ack", id, topics: topics.map((t: string) => ({ t })) });
      case "auth":
        token = rest.token;
        return tab.post({ op: "ack", id });
      default:
        tab.post({ ...(await client.request({ op, ...rest })), id });
    }
  } catch (error) {
    const { code, message } = error as TickcastError;
    tab.post({ op: "err", id, code, msg: message });
  }
}

/** Answers once the server has answered for each topic; messages wait until then. A tab that comes with a cursor of its own, to a topic
 *  that others have already, has lost what lies between. */
function subscribe(tab: Tab, id: number, topics: string[], after: Record<string, string>, rate?: string): void {
  const waiting = new Set(topics);
  const lost = new Set(topics.filter((t) => after[t] && client.state(t) !== "none" && client.cursor(t) !== after[t]));
  const ack: Required<Pick<Ack, "topics" | "errors">> = { topics: [], errors: [] };
  let held: object[] | null = [];
  const settle = (t: string, error?: TickcastError) => {
    const cursor = client.cursor(t) ?? undefined;
    if (!waiting.delete(t)) return;
    if (error) ack.errors.push({ t, code: error.code, msg: error.message });
    else ack.topics.push({ t, mode: cursor ? "all" : "last", cursor, recovered: after[t] ? !lost.has(t) : undefined });
    if (waiting.size) return;
    for (const off of offs) off();
    tab.post({ op: "ack", id, ...ack });
    for (const message of held!) tab.post(message);
    held = null;
  };
  const isLive = (state: TopicState) => state === "live" || state === "stale";
  const offs = [
    client.on("topic", ({ topic, state }) => isLive(state) && settle(topic)),
    client.on("error", (error) => error.topic && settle(error.topic, error)),
    client.on("lost", ({ topic }) => lost.add(topic)),
  ];
  for (const topic of topics) {
    tab.stops.get(topic)?.();
    const stop = client.subscribe(topic, (message) => (held ? held.push(message) : tab.post(message)), { rate, after: after[topic] });
    tab.stops.set(topic, stop);
    if (isLive(client.state(topic))) settle(topic);
  }
}
