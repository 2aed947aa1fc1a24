// The topics that the page shows: read from the address (#AAPL,FX.*), else from the last visit, else
// a default. Each change is written back to both, so that an address can be passed on.

export const DEFAULT_TOPICS = [
  "px.NVDA", "px.AAPL", "px.TSLA", "px.MSFT", "px.AMZN", "px.META", "px.GOOGL", "px.NFLX",
  "px.AMD", "px.AVGO", "px.SPY", "px.COIN",
  "px.FX.EURUSD", "px.FX.USDJPY", "px.FX.GBPUSD", "px.FX.USDCHF",
];

const STORAGE_KEY = "tickcast.topics";
const MAX_ENTRIES = 200;
const MAX_TOPIC_BYTES = 255;
const CURRENCIES = new Set(
  "AUD CAD CHF CNH CZK DKK EUR GBP HKD HUF JPY MXN NOK NZD PLN SEK SGD TRY USD ZAR".split(" "),
);

export class Watchlist {
  topics; // patterns among them, in the order shown
  isDefault = false; // neither an address nor an earlier visit chose
  #storage;

  // storage is localStorage, or null where there is none.
  constructor({ hash, storage }) {
    this.#storage = storage;
    const chosen = this.#fromHash(hash) ?? this.#fromStorage();
    this.isDefault = chosen === null;
    this.topics = chosen ?? [...DEFAULT_TOPICS];
  }

  // Replaces the topics, and stores them.
  replace(topics) {
    this.topics = topics.slice(0, MAX_ENTRIES);
    this.isDefault = false;
    try {
      this.#storage?.setItem(STORAGE_KEY, JSON.stringify(this.topics));
    } catch {
      // Full or forbidden: the address still holds the topics.
    }
  }

  get isFull() {
    return this.topics.length >= MAX_ENTRIES;
  }

  // The fragment of the page's address, with its #.
  get hash() {
    return "#" + this.topics.map((topic) => encodeURIComponent(shorten(topic))).join(",");
  }

  #fromHash(hash) {
    if (hash.length < 2) return null;
    const topics = [];
    for (const part of hash.slice(1).split(",")) {
      let text = part;
      try {
        text = decodeURIComponent(part);
      } catch {
        // Not percent-encoded; used as it is.
      }
      const topic = text === "" ? null : toTopic(text);
      if (topic !== null && !topics.includes(topic)) topics.push(topic);
    }
    return topics.slice(0, MAX_ENTRIES);
  }

  #fromStorage() {
    try {
      const topics = JSON.parse(this.#storage?.getItem(STORAGE_KEY) ?? "null");
      if (!Array.isArray(topics)) return null;
      return topics.filter((t) => typeof t === "string" && toTopic(t) !== null).slice(0, MAX_ENTRIES);
    } catch {
      return null;
    }
  }
}

// Parses the input of the form: symbols, topics or patterns with spaces or commas between them.
// refused holds those that cannot be a topic.
export function parseTopics(text) {
  const topics = new Set();
  const refused = [];
  for (const part of text.split(/[\s,]+/)) {
    if (part === "") continue;
    const topic = toTopic(part);
    if (topic === null) refused.push(part);
    else topics.add(topic);
  }
  return { topics: [...topics], refused };
}

// AAPL means px.AAPL; EURUSD and FX.EURUSD mean px.FX.EURUSD. Other text with a dot is a topic
// already. null for text that cannot be a topic.
function toTopic(text) {
  const upper = text.toUpperCase();
  let topic = text;
  if (!text.includes(".")) {
    const isPair = upper.length === 6 && CURRENCIES.has(upper.slice(0, 3)) && CURRENCIES.has(upper.slice(3));
    topic = (isPair ? "px.FX." : "px.") + upper;
  } else if (upper.startsWith("FX.")) {
    topic = "px." + upper;
  }
  return isTopic(topic) ? topic : null;
}

// The shortest text that toTopic turns into the same topic.
function shorten(topic) {
  const short = topic.replace(/^px\./, "");
  return toTopic(short) === topic ? short : topic;
}

function isTopic(topic) {
  const tokens = topic.split(".");
  return (
    new TextEncoder().encode(topic).length <= MAX_TOPIC_BYTES &&
    !/[\s\u0000-\u001f\u007f]/.test(topic) &&
    tokens.every((token) => token !== "") &&
    tokens.slice(0, -1).every((token) => token !== ">")
  );
}
