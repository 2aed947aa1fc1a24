// The field that filters the rows and offers topics to add: a combobox with a list below it.

import { setText } from "./dom.js";
import { nameOf } from "./quote.js";
import { neighbours } from "./search.js";
import { parseTopics } from "./watchlist.js";

const PAUSE = 250; // ms after the last key, before the server is asked
const AGAIN = 2_000; // ms until the same pattern is asked for again
const MAX_QUIET = 3; // answers in a row without a new topic, after which the server is left alone until the text changes

export class Finder {
  #input;
  #list;
  #known;
  #on;
  #active = -1; // index of the option that Enter takes; -1 = the text
  #asked = new Map(); // pattern -> time of the last question
  #timer = 0;
  #quiet = 0; // answers in a row without a new topic
  #isEntered = false; // the last key was Enter
  #isClosed = false; // by Escape, until the text changes

  // known is a KnownTopics. onfilter(text) is called when the text changes, onadd(topic) when an offered topic is chosen;
  // onfirst() goes to the first row that the text means, and returns false without one; shown(topic) says whether a topic has a
  // row, latest(pattern) promises messages of the topics under a pattern.
  constructor(input, list, known, on) {
    this.#input = input;
    this.#list = list;
    this.#known = known;
    this.#on = on;
    input.addEventListener("input", () => this.#changed());
    input.addEventListener("focus", () => this.#offer());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#pressed(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
    list.addEventListener("click", ({ target }) => this.#take(target.closest("[role=option]")));
  }

  // Takes the Enter key: the marked option, or the first row if the text is no topic. False if the text is to be added.
  enter() {
    const isEntered = this.#isEntered; // not the press of a button
    this.#isEntered = false;
    if (!isEntered) return false;
    return this.#take(this.#list.children[this.#active]) || (!this.#isTopic() && this.#on.onfirst());
  }

  clear() {
    this.#input.value = "";
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#isClosed = false;
    this.#quiet = 0;
    this.#on.onfilter(this.#input.value.trim());
    this.#offer();
    if (this.#input.value.trim() !== "") this.#timer = setTimeout(() => this.#ask(), PAUSE);
  }

  // Asks the server for the topics beside the text, and again while the field is in use and new ones come: a server learns
  // topics only once somebody asks for them. A refusal means that there is nothing to offer.
  async #ask() {
    const text = this.#input.value;
    const pattern = neighbours(text);
    if (pattern !== null && performance.now() - (this.#asked.get(pattern) ?? -Infinity) >= AGAIN) {
      this.#asked.set(pattern, performance.now());
      const before = this.#known.size;
      try {
        for (const { t } of await this.#on.latest(pattern)) this.#known.add(t);
      } catch {
        return;
      }
      this.#quiet = this.#known.size > before ? 0 : this.#quiet + 1;
      if (document.activeElement === this.#input && !this.#isClosed) this.#offer();
    }
    if (this.#input.value !== text) return; // a later text has its own question
    clearTimeout(this.#timer);
    if (document.activeElement === this.#input && this.#quiet < MAX_QUIET) this.#timer = setTimeout(() => this.#ask(), AGAIN);
  }

  #offer() {
    const topics = this.#known.find(this.#input.value, this.#on.shown);
    const active = this.#list.children[this.#active]?.dataset.topic;
    this.#list.replaceChildren(...topics.map((topic, i) => option(topic, i)));
    this.#list.hidden = topics.length === 0;
    this.#input.setAttribute("aria-expanded", topics.length > 0);
    this.#mark(topics.indexOf(active));
  }

  #close() {
    this.#list.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#mark(-1);
  }

  #mark(i) {
    this.#active = i;
    const options = [...this.#list.children];
    options.forEach((element, k) => element.setAttribute("aria-selected", k === i));
    if (i >= 0) this.#input.setAttribute("aria-activedescendant", options[i].id);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #pressed(event) {
    const n = this.#list.hidden ? 0 : this.#list.children.length;
    this.#isEntered = event.key === "Enter";
    if (event.key === "Escape") {
      this.#isClosed = true;
      if (n > 0) this.#close();
      else this.clear();
      event.preventDefault();
    } else if (n > 0 && event.key === "ArrowDown") {
      this.#mark(this.#active + 1 < n ? this.#active + 1 : -1);
      event.preventDefault();
    } else if (n > 0 && event.key === "ArrowUp") {
      this.#mark(this.#active < 0 ? n - 1 : this.#active - 1);
      event.preventDefault();
    }
  }

  // Whether the text is a pattern, or a topic of the server without a row: not only words to find rows by.
  #isTopic() {
    const { topics } = parseTopics(this.#input.value);
    return topics.every((topic) => /[*>]/.test(topic) || (this.#known.has(topic) && !this.#on.shown(topic)));
  }

  #take(element) {
    if (!element || this.#list.hidden) return false;
    this.#on.onadd(element.dataset.topic);
    this.clear();
    return true;
  }
}

function option(topic, i) {
  const element = document.createElement("li");
  const [name, full] = nameOf(topic);
  element.id = `option-${i}`;
  element.dataset.topic = topic;
  element.setAttribute("role", "option");
  for (const [className, text] of [["name", name], ["topic", full]]) {
    const part = document.createElement("span");
    part.className = className;
    setText(part, text);
    element.append(part);
  }
  return element;
}
