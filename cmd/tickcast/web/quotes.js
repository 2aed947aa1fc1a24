// The table, in the chosen order: a row for each topic; for each pattern a heading, and below the rows
// that it has already a row for each topic that it brings, so that no row moves.
//
// Messages only change a row's numbers; paint puts changed rows on the screen, a few times a second.
// So the work on the screen is bounded by the visible rows, not by the messages. Rows are grids of
// fixed size (style.css), so the browser skips invisible ones.

import { clone, setText } from "./dom.js";
import { History } from "./history.js";
import { NO_QUOTE, amount, decimalsOf, nameOf, price, readPayload, signed } from "./quote.js";
import { isMeant } from "./search.js";
import { Series, drawSparkline } from "./sparkline.js";
import { colorsOf } from "./theme.js";
import { covers } from "./tickcast.js";

const isPattern = (topic) => /(^|\.)[*>](\.|$)/.test(topic);

const MAX_ROWS = 600; // patterns may bring thousands of topics
const FRAME = 80; // ms between two paints: numbers that change more often cannot be read
const ARRIVALS = 40; // rows that a paint adds at most: a pattern may bring hundreds at once
const FLASH = 480; // ms that a changed price is lit, fading in steps; an animation would paint every frame
const FLASH_STEPS = 3;
const FLASH_PAUSE = 1_000; // ms until the same price is lit again: a busy row pulses and does not glare

export class Quotes {
  #table;
  #rows = new Map(); // topic -> row
  #entries = new Map(); // chosen topic or pattern -> {body, count, topics}
  #stale = [];
  #connected = false;
  #filter = ""; // only rows that it means are shown
  #on; // the callbacks
  #full = false;

  #arrived = new Set(); // rows of patterns that are not in the table yet
  #dirty = new Set();
  #lit = new Set(); // rows that flash
  #frame = 0; // the timer of the next paint; 0 without one
  #paintedAt = 0;
  #visible; // IntersectionObserver of the charts
  #colors = {};

  // onremove(entry) is called when an entry's button is pressed, onopen(row, byKeyboard) when a row is, ondrop(row) when it leaves the
  // table, onpaint(now) after each paint, onfull(rows) once when patterns bring more topics than are shown.
  constructor(table, on) {
    this.#table = table;
    this.#on = on;
    table.addEventListener("click", (event) => this.#clicked(event));
    table.addEventListener("keydown", (event) => this.#pressed(event));
    this.#visible = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "100px" });
    addEventListener("resize", () => this.#measureAgain());
    this.restyle();
  }

  // The number of topics shown.
  get size() {
    return this.#rows.size;
  }

  // Whether a topic has a row.
  has(topic) {
    return this.#rows.has(topic);
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
      row.history.push(Date.now(), quote.last);
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

  // Marks the rows of topics that these patterns cover as stale, and only those; without a connection, none is known.
  setState(connected, stale) {
    this.#connected = connected;
    this.#stale = stale;
    for (const row of this.#rows.values()) this.#markState(row);
  }

  // Messages of a topic, or of those under a pattern, are lost.
  missed(topic) {
    for (const row of this.#rows.values()) if (covers(topic, row.topic)) row.history.addGap(Date.now());
  }

  // Shows only the rows that a text means; "" shows all. Returns how many there are.
  filter(text) {
    this.#filter = text;
    for (const row of this.#rows.values()) this.#hide(row);
    for (const entry of this.#entries.values()) this.#hideEntry(entry);
    return [...this.#rows.values()].filter(({ element }) => !element.hidden).length;
  }

  // Moves the keyboard focus to the first row that is shown; false without one.
  focusFirst() {
    const button = this.#table.querySelector("tr:not([hidden]) .open");
    button?.focus();
    return button !== null;
  }

  // Marks the row of a topic as the one with the chart; null marks none.
  setOpen(topic) {
    for (const row of this.#rows.values()) {
      const isOpen = row.topic === topic;
      if (row.element.hasAttribute("data-open") === isOpen) continue;
      row.element.toggleAttribute("data-open", isOpen);
      row.button.setAttribute("aria-expanded", isOpen);
    }
  }

  // Takes the colours of the page again.
  restyle() {
    const [up, down, flat] = colorsOf("--up", "--down", "--dim");
    this.#colors = { up, down, flat };
    for (const row of this.#rows.values()) this.#touch(row);
  }

  #markState(row) {
    const isStale = this.#stale.some((pattern) => covers(pattern, row.topic));
    row.element.toggleAttribute("data-stale", isStale);
    row.history.setState(Date.now(), !this.#connected ? "offline" : isStale ? "stale" : "");
  }

  #hide(row) {
    row.element.hidden = this.#filter !== "" && !isMeant(this.#filter, row.topic, covers);
  }

  // A heading stays without rows only if nothing is filtered.
  #hideEntry({ body, topics }) {
    body.hidden = this.#filter !== "" && ![...topics].some((topic) => !this.#rows.get(topic).element.hidden);
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
      if (!this.#full) this.#on.onfull(MAX_ROWS);
      this.#full = true;
      return null;
    }
    return null;
  }

  // Adds a row to an entry: that of a pattern comes with the next paint.
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
      topic, name, entry, element, cells,
      button: element.querySelector(".open"),
      price: element.querySelector(".price"),
      canvas: element.querySelector("canvas"),
      box: null, // the canvas's size, while it is on the screen
      series: new Series(),
      history: new History(),
      quote: NO_QUOTE,
      note: null, // reason why there is no quote
      decimals: 0,
      flash: { direction: "", until: 0, again: 0 },
    };
    if (entry.count) this.#arrived.add(row);
    else entry.body.append(element);
    entry.topics.add(topic);
    this.#rows.set(topic, row);
    this.#markState(row);
    this.#hide(row);
    row.canvas.row = row;
    this.#visible.observe(row.canvas);
    return row;
  }

  #drop(topic) {
    const row = this.#rows.get(topic);
    this.#rows.delete(topic);
    this.#arrived.delete(row);
    this.#dirty.delete(row);
    this.#lit.delete(row);
    this.#visible.unobserve(row.canvas);
    row.element.remove();
    row.entry.topics.delete(topic);
    this.#count(row.entry);
    this.#on.ondrop(row);
  }

  #count({ count, topics }) {
    if (!count) return;
    const n = topics.size;
    count.textContent = n === 0 ? "no topics yet" : n === 1 ? "1 topic" : `${n} topics`;
  }

  #clicked({ target, detail }) {
    const button = target.closest(".remove");
    const row = this.#rows.get(target.closest("[data-topic]")?.dataset.topic);
    if (button) this.#remove(button);
    else if (row && getSelection().isCollapsed) this.#on.onopen(row, detail === 0); // text that is being selected is no click
  }

  // Removes a button's entry and keeps the keyboard focus near it.
  #remove(button) {
    const buttons = [...this.#table.querySelectorAll(".remove")];
    const i = buttons.indexOf(button);
    const { topic, pattern } = button.closest("[data-topic], [data-pattern]").dataset;
    this.#on.onremove(topic ?? pattern);
    (buttons[i + 1] ?? buttons[i - 1])?.focus();
  }

  // The arrow keys go from row to row.
  #pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(".open")) return;
    const buttons = [...this.#table.querySelectorAll("tr:not([hidden]) .open")];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
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
    this.#arrive();
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
    if (this.#lit.size > 0 || this.#arrived.size > 0) this.#paintSoon();
    this.#on.onpaint(now);
  }

  // Puts rows that patterns have brought into the table, those of one paint in alphabetical order.
  #arrive() {
    if (this.#arrived.size === 0) return;
    const rows = [...this.#arrived].sort((a, b) => (a.topic < b.topic ? -1 : 1)).slice(0, ARRIVALS);
    for (const row of rows) {
      this.#arrived.delete(row);
      row.entry.body.append(row.element);
    }
    for (const entry of new Set(rows.map((row) => row.entry))) {
      this.#count(entry);
      this.#hideEntry(entry);
    }
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
    setText(cells.size, amount(size) ?? "");
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
}
