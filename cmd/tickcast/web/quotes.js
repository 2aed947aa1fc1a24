// The table, in the chosen order: a row for each topic; for each pattern a heading, and a row for
// each topic that it brings.
//
// Messages only change a row's numbers; paint puts changed rows on the screen, a few times a second.
// So the work on the screen is bounded by the visible rows, not by the messages. Rows are grids of
// fixed size (style.css), so the browser skips invisible ones.

import { NO_QUOTE, decimalsOf, nameOf, price, readPayload, signed } from "./quote.js";
import { Series, drawSparkline } from "./sparkline.js";
import { covers } from "./tickcast.js";

const isPattern = (topic) => /(^|\.)[*>](\.|$)/.test(topic);

const MAX_ROWS = 600; // patterns may bring thousands of topics
const FRAME = 80; // ms between two paints: numbers that change more often cannot be read
const FLASH = 480; // ms that a changed price is lit, fading in steps; an animation would paint every frame
const FLASH_STEPS = 3;
const FLASH_PAUSE = 1_000; // ms until the same price is lit again: a busy row pulses and does not glare

export class Quotes {
  #table;
  #rows = new Map(); // topic -> row
  #entries = new Map(); // chosen topic or pattern -> {body, count, topics}
  #stale = [];
  #onremove;
  #onfull;
  #full = false;

  #dirty = new Set();
  #lit = new Set(); // rows that flash
  #frame = 0; // the timer of the next paint; 0 without one
  #paintedAt = 0;
  #visible; // IntersectionObserver of the charts
  #colors = {};

  // onremove(entry) is called when an entry's button is pressed, onfull(rows) once when patterns
  // bring more topics than are shown.
  constructor(table, { onremove, onfull }) {
    this.#table = table;
    this.#onremove = onremove;
    this.#onfull = onfull;
    table.addEventListener("click", (event) => this.#clicked(event.target.closest(".remove")));
    this.#visible = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "100px" });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#restyle());
    addEventListener("resize", () => this.#measureAgain());
    this.#restyle();
  }

  // The number of topics shown.
  get size() {
    return this.#rows.size;
  }

  // Shows these topics and patterns, in this order, and keeps the rows that exist already.
  show(chosen) {
    this.#full = false;
    for (const [name, entry] of this.#entries) {
      if (chosen.includes(name)) continue;
      for (const topic of [...entry.topics]) this.#drop(topic);
      entry.body.remove();
      this.#entries.delete(name);
    }
    let here = this.#table.tHead.nextElementSibling;
    for (const name of chosen) {
      const { body } = this.#entries.get(name) ?? this.#enter(name);
      if (body === here) here = body.nextElementSibling;
      else this.#table.insertBefore(body, here);
    }
  }

  // Applies a data message that came at the given time (performance.now()). False if its topic is not
  // chosen (any more).
  update({ t: topic, d: payload }, now) {
    const row = this.#rows.get(topic) ?? this.#adopt(topic);
    if (!row) return false;
    const quote = readPayload(payload);
    if (quote.last !== null) {
      const before = row.quote.last ?? quote.last;
      if (quote.last !== before) this.#flash(row, quote.last > before ? "up" : "down", now);
      row.series.push(now, quote.last);
    }
    row.quote = quote;
    row.note = null;
    this.#touch(row);
    return true;
  }

  // Shows a note in place of a topic's data: the reason of the refusal.
  refuse(name, note) {
    const row = this.#rows.get(name);
    const entry = this.#entries.get(name);
    if (row) {
      row.note = note;
      this.#touch(row);
    } else if (entry) {
      entry.count.textContent = note;
    }
  }

  // Marks the rows of topics that these patterns cover as stale, and only those.
  setStale(patterns) {
    this.#stale = patterns;
    for (const row of this.#rows.values()) this.#markStale(row);
  }

  #markStale(row) {
    row.element.toggleAttribute("data-stale", this.#stale.some((pattern) => covers(pattern, row.topic)));
  }

  // ---- entries and rows

  // Makes an entry: for a topic its row, for a pattern a heading under which rows will follow.
  #enter(name) {
    let entry;
    if (isPattern(name)) {
      const body = clone("group-template");
      body.dataset.pattern = name;
      body.querySelector(".name").textContent = name;
      body.querySelector(".remove").setAttribute("aria-label", `Remove ${name}`);
      entry = { body, count: body.querySelector(".count"), topics: new Set() };
      this.#count(entry);
    } else {
      const body = document.createElement("tbody");
      body.setAttribute("role", "rowgroup");
      entry = { body, count: null, topics: new Set() };
      if (this.#rows.has(name)) this.#drop(name); // a pattern brought it earlier
      this.#add(name, entry);
    }
    this.#entries.set(name, entry);
    return entry;
  }

  // Makes a row for a topic that a chosen pattern covers; null without one, or if the table is full.
  #adopt(topic) {
    for (const [name, entry] of this.#entries) {
      if (!entry.count || !covers(name, topic)) continue;
      if (this.#rows.size < MAX_ROWS) return this.#add(topic, entry);
      if (!this.#full) this.#onfull(MAX_ROWS);
      this.#full = true;
      return null;
    }
    return null;
  }

  // Adds a row to an entry, in alphabetical order.
  #add(topic, entry) {
    const element = clone("row-template");
    const [name, full] = nameOf(topic);
    element.dataset.topic = topic;
    element.querySelector(".name").textContent = name;
    element.querySelector(".topic").textContent = full;
    const button = element.querySelector(".remove");
    if (entry.count) button.remove();
    else button.setAttribute("aria-label", `Remove ${name}`);
    const cells = {};
    for (const cell of element.querySelectorAll("[data-f]")) cells[cell.dataset.f] = cell;
    const row = {
      topic, entry, element, cells,
      price: element.querySelector(".price"),
      canvas: element.querySelector("canvas"),
      box: null, // the canvas's size, while it is on the screen
      series: new Series(),
      quote: NO_QUOTE,
      note: null, // reason why there is no quote
      decimals: 0,
      flash: { direction: "", until: 0, again: 0 },
    };
    const [next] = [...entry.topics].filter((other) => other > topic).sort();
    entry.body.insertBefore(element, next === undefined ? null : this.#rows.get(next).element);
    entry.topics.add(topic);
    this.#rows.set(topic, row);
    this.#count(entry);
    this.#markStale(row);
    row.canvas.row = row;
    this.#visible.observe(row.canvas);
    return row;
  }

  #drop(topic) {
    const row = this.#rows.get(topic);
    this.#rows.delete(topic);
    this.#dirty.delete(row);
    this.#lit.delete(row);
    this.#visible.unobserve(row.canvas);
    row.element.remove();
    row.entry.topics.delete(topic);
    this.#count(row.entry);
  }

  #count({ count, topics }) {
    if (!count) return;
    const n = topics.size;
    count.textContent = n === 0 ? "no topics yet" : n === 1 ? "1 topic" : `${n} topics`;
  }

  // Removes a button's entry and keeps the keyboard focus near it.
  #clicked(button) {
    if (!button) return;
    const buttons = [...this.#table.querySelectorAll(".remove")];
    const i = buttons.indexOf(button);
    const { topic, pattern } = button.closest("[data-topic], [data-pattern]").dataset;
    this.#onremove(topic ?? pattern);
    (buttons[i + 1] ?? buttons[i - 1])?.focus();
  }

  // ---- the screen

  #touch(row) {
    this.#dirty.add(row);
    this.#paintSoon();
  }

  #paintSoon() {
    if (this.#frame !== 0) return;
    const wait = Math.max(0, this.#paintedAt + FRAME - performance.now());
    this.#frame = setTimeout(() => requestAnimationFrame((now) => this.#paint(now)), wait);
  }

  #paint(now) {
    this.#frame = 0;
    this.#paintedAt = now;
    for (const row of this.#dirty) this.#paintRow(row);
    this.#dirty.clear();
    for (const row of this.#lit) {
      const { direction, until } = row.flash;
      const step = Math.ceil(((until - now) / FLASH) * FLASH_STEPS);
      if (step > 0) {
        row.price.dataset.flash = `${direction}-${Math.min(step, FLASH_STEPS)}`;
      } else {
        delete row.price.dataset.flash;
        this.#lit.delete(row);
      }
    }
    if (this.#lit.size > 0) this.#paintSoon();
  }

  #paintRow(row) {
    const { last, bid, ask, open, size } = row.quote;
    const text = row.note ?? row.quote.text;
    const { cells } = row;
    if (bid !== null || ask !== null || open !== null) row.decimals = Math.max(row.decimals, 2);
    for (const v of [last, bid, ask, open]) row.decimals = Math.max(row.decimals, decimalsOf(v));
    setText(row.price, text ?? price(last, row.decimals) ?? "–");
    row.element.toggleAttribute("data-text", text !== null);
    setText(cells.bid, price(bid, row.decimals) ?? "");
    setText(cells.ask, price(ask, row.decimals) ?? "");
    setText(cells.size, price(size, 0) ?? "");
    const change = last !== null && open > 0 ? (last / open - 1) * 100 : null;
    setText(cells.chg, change === null ? "" : signed(change));
    const direction = change === null ? "none" : change >= 0.005 ? "up" : change <= -0.005 ? "down" : "flat";
    row.element.dataset.dir = direction;
    row.element.toggleAttribute("data-refused", row.note !== null);
    row.element.toggleAttribute("data-chart", row.series.length > 1);
    if (row.box) drawSparkline(row.canvas, row.series, { ...row.box, color: this.#colors[row.series.direction] });
  }

  #flash(row, direction, now) {
    const { flash } = row;
    if (now < flash.again) return;
    row.flash = { direction, until: now + FLASH, again: now + FLASH_PAUSE };
    this.#lit.add(row);
  }

  // Notes which charts are visible; only those are drawn.
  #seen(entries) {
    for (const { target, isIntersecting, boundingClientRect: box } of entries) {
      const { row } = target;
      row.box = isIntersecting && box.width > 0 ? { width: box.width, height: box.height } : null;
      if (row.box && this.#rows.get(row.topic) === row) this.#touch(row);
    }
  }

  #measureAgain() {
    for (const { canvas } of this.#rows.values()) {
      this.#visible.unobserve(canvas);
      this.#visible.observe(canvas);
    }
  }

  #restyle() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    this.#colors = { up: color("--up"), down: color("--down"), flat: color("--dim") };
    for (const row of this.#rows.values()) this.#touch(row);
  }
}

// Changes an element's text, without a new node where its length stays.
function setText(element, text) {
  const node = element.firstChild;
  // A text that grows to the left would count as one that moves; a new one does not.
  if (node === null || node.data.length !== text.length) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

function clone(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}
