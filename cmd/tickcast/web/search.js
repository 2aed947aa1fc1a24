// Finds topics: which rows a text means, and which topics could be added for it.

import { nameOf } from "./quote.js";
import { parseTopics } from "./watchlist.js";

const MAX_FOUND = 8; // topics that are offered
const MAX_KNOWN = 20_000;

// Whether a row with this topic is meant by the text: words that all occur in its topic or name, or a pattern that covers it,
// as covers(pattern, topic) of the client says.
export function isMeant(text, topic, covers) {
  const names = `${topic} ${nameOf(topic)[0]}`.toLowerCase();
  const isCovered = (word) => isPattern(word) && patternsOf(word).some((pattern) => covers(pattern, topic));
  return words(text).every((word) => names.includes(word.toLowerCase()) || isCovered(word));
}

const words = (text) => text.split(/[\s,]+/).filter((word) => word !== "");
const isPattern = (word) => /[*>]/.test(word);
const patternsOf = (word) => parseTopics(word).topics;

// The pattern whose topics are worth a look for a text: those beside it. AAPL means px.>, news.sp means news.>.
export function neighbours(text) {
  const [word = ""] = words(text);
  const [topic] = parseTopics(word.replace(/\.$/, ".x")).topics;
  if (topic === undefined || isPattern(word)) return null;
  const tokens = topic.split(".");
  return tokens.length < 2 ? null : `${tokens[0]}.>`;
}

// The topics that the server has shown, by chosen patterns or by an answer, whether they are in the table or not.
export class KnownTopics {
  #topics = new Set();
  #covers;

  constructor(covers) {
    this.#covers = covers;
  }

  add(topic) {
    if (this.#topics.size < MAX_KNOWN) this.#topics.add(topic);
  }

  get size() {
    return this.#topics.size;
  }

  has(topic) {
    return this.#topics.has(topic);
  }

  // The topics for a text that are not shown yet, best first: those whose name begins with it, then by alphabet.
  find(text, shown) {
    if (words(text).length === 0) return [];
    const first = words(text)[0].toLowerCase();
    const rank = (topic) => (nameOf(topic)[0].toLowerCase().startsWith(first) || topic.toLowerCase().startsWith(first) ? 0 : 1);
    const found = [...this.#topics].filter((topic) => !shown(topic) && isMeant(text, topic, this.#covers));
    return found.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).slice(0, MAX_FOUND);
  }
}
