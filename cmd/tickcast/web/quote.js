// The numbers of a payload, and their format.

const MAX_TEXT = 120; // characters shown of a payload that is not a quote

// A quote without numbers; null is a missing one.
export const NO_QUOTE = { last: null, bid: null, ask: null, open: null, size: null, text: null };

// A topic's short name, and the topic if the name differs from it.
export function nameOf(topic) {
  const [, base, quote] = /^px\.FX\.([A-Z]{3})([A-Z]{3})$/.exec(topic) ?? [];
  if (base) return [`${base}/${quote}`, topic];
  return topic.startsWith("px.") ? [topic.slice(3), topic] : [topic, ""];
}

// A quote has numbers; any other payload is shown as text in place of the last price.
export function readPayload(d) {
  if (typeof d === "number") return { ...NO_QUOTE, last: d };
  if (d !== null && typeof d === "object") {
    const number = (v) => (typeof v === "number" && Number.isFinite(v) ? v : null);
    const quote = { last: number(d.l), bid: number(d.b), ask: number(d.a), open: number(d.o), size: number(d.z), text: null };
    if (quote.last !== null || quote.bid !== null || quote.ask !== null) return quote;
  }
  const text = typeof d === "string" ? d : JSON.stringify(d);
  return { ...NO_QUOTE, text: text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) + "…" : text };
}

const formats = Array.from({ length: 9 }, (_, digits) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

// A number as text with so many decimals, a huge one with a power of ten; null remains null.
export function price(v, decimals) {
  if (v === null) return null;
  return Math.abs(v) < 1e13 ? formats[decimals].format(v) : v.toExponential(3);
}

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });

// A size as text, from a million on with a letter; null remains null.
export function amount(v) {
  return v !== null && Math.abs(v) >= 1e6 && Math.abs(v) < 1e13 ? compact.format(v) : price(v, 0);
}

// The number of decimals that a number needs.
export function decimalsOf(v) {
  if (v === null) return 0;
  const text = String(v);
  const point = text.indexOf(".");
  return point < 0 ? 0 : Math.min(text.length - point - 1, formats.length - 1);
}

// A change in percent, with its sign.
export function signed(percent) {
  const text = Math.abs(percent).toFixed(2);
  const sign = text === "0.00" ? "" : percent > 0 ? "+" : "−";
  return `${sign}${text} %`;
}
