// A ticker: npm install && npm run dev, beside a running `make run`. ?stream= names another server.
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Tickcast, type Message } from "tickcast";

interface Quote {
  b: number;
  a: number;
}

const client = new Tickcast(new URLSearchParams(location.search).get("stream") ?? "ws://127.0.0.1:8080/stream");
client.on("lost", ({ topic, why }) => console.warn(topic, why));

function useQuote(topic: string): Message<Quote> | undefined {
  const [message, setMessage] = useState<Message<Quote>>();
  useEffect(() => client.subscribe<Quote>(topic, setMessage), [topic]);
  return message;
}

function Ticker({ topic }: { topic: string }) {
  const { b, a } = useQuote(topic)?.d ?? {};
  return <li data-topic={topic}>{topic}: {b ?? "–"} / {a ?? "–"}</li>;
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ul>{["px.AAPL", "px.MSFT", "px.FX.EURUSD", "px.AAPL"].map((topic, i) => <Ticker key={i} topic={topic} />)}</ul>
  </StrictMode>,
);
