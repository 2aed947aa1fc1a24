// Draws a large chart: the price over time, both axes, the last price, and the times without prices.

import { pieces } from "./history.js";
import { localOffset, priceRange, priceTicks, timeLabel, timeTicks } from "./scale.js";

const BOTTOM = 24; // CSS pixels for the times
const TOP = 8;
const FONT = "12px ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif";
const LABELS = { stale: "stale", offline: "offline", gap: "updates lost" };

// The lowest and the highest price between two times; null without one.
export function extent(track, from, to) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = Math.max(0, track.indexAt(from)); i < track.length && track.time(i) <= to; i++) {
    low = Math.min(low, track.low(i));
    high = Math.max(high, track.high(i));
  }
  return low <= high ? { low, high } : null;
}

// The place of a chart's parts: right is the width of the prices' axis; x and y turn times and prices into CSS pixels, timeAt
// is the way back.
export function layout({ width, height, from, to, low, high, right }) {
  const plot = { left: 0, top: TOP, right: width - right, bottom: height - BOTTOM };
  const [bottom, top] = priceRange(low, high);
  return {
    ...plot, low: bottom, high: top,
    x: (time) => ((time - from) / (to - from)) * plot.right,
    y: (value) => plot.bottom - ((value - bottom) / (top - bottom)) * (plot.bottom - plot.top),
    timeAt: (x) => from + (x / plot.right) * (to - from),
  };
}

// Draws a view: {width, height, track, marks, from, to, last, decimals, direction, lit, format, colors}. last is the newest
// price; decimals those of the topic's prices; direction "up", "down" or "flat"; lit the point under the crosshair,
// {time, value}, or null; format(price, decimals) gives texts. Returns its layout, or null without prices.
export function drawChart(canvas, view) {
  const { width, height, track, marks, from, to, colors, format } = view;
  const scale = globalThis.devicePixelRatio || 1;
  const w = Math.round(width * scale);
  const h = Math.round(height * scale);
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = FONT;
  const range = extent(track, from, to);
  if (!range) return null;

  const [bottom, top] = priceRange(range.low, range.high);
  const ticks = priceTicks(bottom, top, Math.max(2, Math.floor(height / 48)), 10 ** -view.decimals);
  const text = (value) => format(value, Math.max(view.decimals, ticks.decimals));
  const right = Math.ceil(Math.max(48, ...[...ticks.values, view.last].map((v) => g.measureText(text(v)).width + 18)));
  const place = layout({ ...view, ...range, right });

  drawAxes(g, view, place, ticks, text);
  g.save();
  g.beginPath();
  g.rect(0, 0, place.right, place.bottom);
  g.clip();
  drawMarks(g, view, place);
  for (const piece of pieces(track, marks, from, to)) drawPiece(g, view, place, piece);
  g.restore();
  drawLast(g, view, place, text);
  if (view.lit) drawCrosshair(g, view, place);
  return place;
}

function drawAxes(g, { width, height, from, to, last, colors }, place, ticks, text) {
  g.fillStyle = colors.dim;
  g.strokeStyle = colors.line;
  g.lineWidth = 1;
  g.textBaseline = "middle";
  g.textAlign = "left";
  g.beginPath();
  for (const value of ticks.values) {
    const y = Math.round(place.y(value)) + 0.5;
    g.moveTo(0, y);
    g.lineTo(place.right, y);
    if (Math.abs(y - place.y(last)) > 16) g.fillText(text(value), place.right + 9, y); // not below the last price
  }
  const times = timeTicks(from, to, Math.max(2, Math.floor(width / 110)), localOffset(to));
  g.textAlign = "center";
  for (const time of times.values) {
    const x = Math.round(place.x(time)) + 0.5;
    if (x < 24 || x > place.right - 24) continue; // its text would be cut
    g.moveTo(x, place.bottom);
    g.lineTo(x, place.bottom + 4);
    g.fillText(timeLabel(time, times.step), x, height - BOTTOM / 2 + 2);
  }
  g.moveTo(0, place.bottom + 0.5);
  g.lineTo(place.right, place.bottom + 0.5);
  g.stroke();
}

// A time without prices is a band with its name; lost messages are a dashed line.
function drawMarks(g, { marks, from, to, colors }, place) {
  g.textBaseline = "top";
  g.textAlign = "left";
  for (const mark of marks) {
    const end = mark.to ?? to;
    if (end < from || mark.from > to) continue;
    const left = Math.max(0, place.x(mark.from));
    const wide = Math.min(place.right, place.x(end)) - left;
    const label = LABELS[mark.kind];
    g.fillStyle = g.strokeStyle = colors.warn;
    if (mark.kind === "gap") {
      g.setLineDash([3, 3]);
      g.beginPath();
      g.moveTo(Math.round(left) + 0.5, 0);
      g.lineTo(Math.round(left) + 0.5, place.bottom);
      g.stroke();
      g.setLineDash([]);
      g.textAlign = left > place.right / 2 ? "right" : "left";
      g.fillText(label, left + (left > place.right / 2 ? -5 : 5), place.top);
      g.textAlign = "left";
      continue;
    }
    g.globalAlpha = 0.12;
    g.fillRect(left, 0, Math.max(wide, 2), place.bottom);
    g.globalAlpha = 1;
    if (wide > g.measureText(label).width + 10) g.fillText(label, left + 5, place.top);
  }
}

// A line through the prices. After a silence it is a step, since the price stood there until the next one.
function drawPiece(g, { track, colors, direction }, place, { first, last, until }) {
  const { x, y } = place;
  const hold = 3 * track.spacing;
  const color = colors[direction];
  g.beginPath();
  g.moveTo(x(track.time(first)), y(track.last(first)));
  for (let i = first + 1; i <= last; i++) {
    if (track.time(i) - track.time(i - 1) > hold) g.lineTo(x(track.time(i)), y(track.last(i - 1)));
    g.lineTo(x(track.time(i)), y(track.last(i)));
  }
  const end = Math.max(x(until), x(track.time(last)) + 1);
  g.lineTo(end, y(track.last(last)));
  g.strokeStyle = g.fillStyle = color;
  g.lineWidth = 1.5;
  g.lineJoin = "round";
  g.stroke();
  g.lineTo(end, place.bottom);
  g.lineTo(x(track.time(first)), place.bottom);
  g.globalAlpha = 0.08;
  g.fill();

  g.beginPath(); // from the lowest to the highest price of a point
  for (let i = first; i <= last; i++) {
    if (track.high(i) <= track.low(i)) continue;
    g.moveTo(x(track.time(i)), y(track.low(i)));
    g.lineTo(x(track.time(i)), y(track.high(i)));
  }
  g.globalAlpha = 0.35;
  g.lineWidth = 1;
  g.stroke();
  g.globalAlpha = 1;
}

function drawLast(g, { width, last, colors, direction }, place, text) {
  const y = Math.round(Math.min(place.bottom, Math.max(place.top, place.y(last)))) + 0.5;
  g.strokeStyle = g.fillStyle = colors[direction];
  g.lineWidth = 1;
  g.setLineDash([2, 3]);
  g.beginPath();
  g.moveTo(0, y);
  g.lineTo(place.right, y);
  g.stroke();
  g.setLineDash([]);
  g.beginPath();
  g.roundRect(place.right + 1, y - 10, width - place.right - 1, 20, 4);
  g.fill();
  g.fillStyle = colors.surface;
  g.textBaseline = "middle";
  g.textAlign = "left";
  g.fillText(text(last), place.right + 9, y);
}

function drawCrosshair(g, { lit, colors }, place) {
  const x = Math.round(Math.min(place.right, Math.max(0, place.x(lit.time)))) + 0.5;
  g.strokeStyle = colors.dim;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(x, 0);
  g.lineTo(x, place.bottom);
  g.stroke();
  if (lit.value === null) return;
  const y = Math.round(place.y(lit.value)) + 0.5;
  g.beginPath();
  g.moveTo(0, y);
  g.lineTo(place.right, y);
  g.stroke();
  g.beginPath();
  g.arc(x, y, 4, 0, 2 * Math.PI);
  g.fillStyle = colors.text;
  g.fill();
}
