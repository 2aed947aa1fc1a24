// The panel with the chart of one row. It lies over the lower end of the window, so opening it moves nothing.

import { drawChart, extent } from "./chart.js";
import { setText } from "./dom.js";
import { readingAt, stops } from "./history.js";
import { decimalsOf, price, signed } from "./quote.js";
import { timeText } from "./scale.js";
import { colorsOf } from "./theme.js";

const PACE = 100; // ms between two drawings
const CALM = 1_000; // for visitors who want little motion, and without messages
const ALL = Infinity;
const AT_LEAST = 30_000; // ms that a chart of all the time shows
const LEAPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -ALL, End: ALL };
const KINDS = { stale: "not known (stale)", offline: "not known (offline)", gap: "updates lost" };

export class ChartPanel {
  #part = (name) => this.#element.querySelector(`[data-part="${name}"]`);
  #element;
  #canvas;
  #plot;
  #row = null; // shown; null while the panel is closed
  #span; // ms shown, or ALL
  #size = { width: 0, height: 0 };
  #colors = {};
  #layout = null; // of the last drawing
  #lit = null; // time under the crosshair; null = none
  #drawnAt = 0;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  // onclose(row) is called when the visitor closes the panel.
  constructor(element, on) {
    this.#element = element;
    this.#plot = this.#part("plot");
    this.#canvas = element.querySelector("canvas");
    this.#span = Number(element.querySelector("input:checked").value); // a browser may restore another than that of the HTML
    this.#part("close").addEventListener("click", () => on.onclose(this.#row));
    addEventListener("keydown", ({ key, target }) => {
      if (key === "Escape" && this.#row && !target.matches?.("input[role]")) on.onclose(this.#row);
    });
    element.addEventListener("change", ({ target }) => {
      this.#span = Number(target.value);
      this.#light(null);
    });
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerdown", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => this.#light(null));
    this.#plot.addEventListener("blur", () => this.#light(null));
    this.#plot.addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(([{ contentRect }]) => {
      this.#size = { width: contentRect.width, height: contentRect.height };
      this.#draw();
    }).observe(this.#plot);
    setInterval(() => this.paint(performance.now(), CALM), CALM); // the time goes on without messages
    this.restyle();
  }

  // The row shown; null while the panel is closed.
  get row() {
    return this.#row;
  }

  // Shows the chart of a row, and takes the focus of a visitor who uses the keyboard.
  open(row, byKeyboard) {
    this.#row = row;
    this.#lit = null;
    this.#element.hidden = false;
    setText(this.#part("name"), row.name);
    setText(this.#part("topic"), row.name === row.topic ? "" : row.topic);
    this.#plot.setAttribute("aria-label", `Chart of ${row.name}. The arrow keys read it.`);
    this.#draw();
    this.#say();
    if (byKeyboard) this.#plot.focus({ preventScroll: true });
  }

  close() {
    this.#row = null;
    this.#element.hidden = true;
  }

  // Draws again if the last drawing is old enough. Called within an animation frame.
  paint(now, pace = this.#calm.matches ? CALM : PACE) {
    if (this.#row && now - this.#drawnAt >= pace) requestAnimationFrame(() => this.#draw());
  }

  // Takes the colours of the page again.
  restyle() {
    const names = ["up", "down", "dim", "line", "text", "surface", "warn"];
    const colors = colorsOf(...names.map((name) => `--${name}`));
    this.#colors = Object.fromEntries(names.map((name, i) => [name, colors[i]]));
    this.#colors.flat = this.#colors.dim;
    this.#draw();
  }

  #window() {
    const to = Date.now();
    const { history } = this.#row;
    const from = this.#span === ALL ? Math.min(history.firstTime, to - AT_LEAST) : to - this.#span;
    return { from, to, track: history.trackSince(from), marks: history.marks };
  }

  #draw() {
    const row = this.#row;
    if (!row) return;
    this.#drawnAt = performance.now();
    const { last, open, text } = row.quote;
    const { from, to, track, marks } = this.#window();
    const range = row.history.length > 0 ? extent(track, from, to) : null;
    const newest = track.length > 0 ? track.last(track.length - 1) : null;
    const reading = this.#lit === null ? null : readingAt(track, marks, this.#lit);

    this.#layout = null;
    if (range && this.#size.width > 0) {
      const first = track.last(Math.max(0, track.indexAt(from)));
      const direction = newest > first ? "up" : newest < first ? "down" : "flat";
      const lit = reading && { time: this.#lit, value: reading.kind ? null : track.last(reading.index) };
      const { decimals } = row;
      const view = { ...this.#size, track, marks, from, to, last: newest, decimals, direction, lit, format: price, colors: this.#colors };
      this.#layout = drawChart(this.#canvas, view);
    }
    this.#canvas.hidden = range === null;
    setText(this.#part("none"), range ? "" : this.#reason(row));

    const decimals = Math.max(row.decimals, decimalsOf(last));
    const change = last !== null && open > 0 ? (last / open - 1) * 100 : null;
    setText(this.#part("last"), price(last ?? newest, decimals) ?? "–");
    setText(this.#part("change"), change === null ? "" : signed(change));
    this.#part("change").dataset.dir = change >= 0.005 ? "up" : change <= -0.005 ? "down" : "flat";
    setText(this.#part("range"), range ? `${price(range.low, decimals)} – ${price(range.high, decimals)}` : "–");
    let note = this.#lit === null ? "" : this.#words(this.#lit).join("  ");
    if (note === "" && text !== null && range) note = "The newest message holds no price";
    setText(this.#part("reading"), note);
  }

  #reason({ note, quote }) {
    if (note) return note;
    if (quote.text !== null) return "The messages of this topic hold no price.";
    return "No price has come yet. The chart begins with the first one.";
  }

  // The price at a time in words.
  #words(time) {
    const { track, marks } = this.#window();
    const reading = readingAt(track, marks, time);
    if (!reading) return [timeText(time), "no price yet"];
    const text = price(track.last(reading.index), this.#row.decimals);
    return reading.kind ? [timeText(time), KINDS[reading.kind], `before it ${text}`] : [timeText(time), text];
  }

  // ---- the crosshair

  #light(time) {
    this.#lit = time;
    this.#draw();
  }

  #point(event) {
    if (!this.#layout) return;
    const x = event.clientX - this.#plot.getBoundingClientRect().left;
    this.#light(x > this.#layout.right ? null : this.#layout.timeAt(Math.max(0, x)));
  }

  // Goes by points and begins of marks; behind the newest one there is no crosshair.
  #pressed(event) {
    const leap = LEAPS[event.key];
    if (leap === undefined || !this.#layout) return;
    event.preventDefault();
    const { from, to, track, marks } = this.#window();
    const times = stops(track, marks, from, to);
    const lit = this.#lit;
    const at = lit === null ? times.length : times.findLastIndex((time) => time <= lit);
    this.#light(times[Math.max(0, at + leap)] ?? null);
    this.#say();
  }

  // Tells a screen reader the reading, after a key: not with every message.
  #say() {
    const { from, to } = this.#window();
    const at = this.#lit ?? to;
    this.#plot.setAttribute("aria-valuetext", this.#words(at).join(", "));
    this.#plot.setAttribute("aria-valuenow", Math.round((100 * (at - from)) / (to - from)));
  }
}
