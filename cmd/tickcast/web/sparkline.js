// A row's small chart.

const POINTS = 120;
const SPACING = 500; // ms between two points, so that a busy symbol and a quiet one show the same minute

// The recent values of one number.
export class Series {
  #values = new Float64Array(POINTS);
  #next = 0;
  #startedAt = -Infinity; // time of the newest point
  length = 0;

  // Adds the number's new value. Values that follow each other closely share a point.
  push(now, value) {
    if (now - this.#startedAt < SPACING) {
      this.#values[(this.#next - 1 + POINTS) % POINTS] = value;
      return;
    }
    this.#startedAt = now;
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % POINTS;
    this.length = Math.min(this.length + 1, POINTS);
  }

  // The i-th point, the oldest first.
  at(i) {
    return this.#values[(this.#next - this.length + i + POINTS) % POINTS];
  }

  // The direction from the first point to the last: "up", "down" or "flat".
  get direction() {
    const way = this.length > 0 ? this.at(this.length - 1) - this.at(0) : 0;
    return way > 0 ? "up" : way < 0 ? "down" : "flat";
  }
}

// Draws a series over the whole canvas, whose size on the page is width x height CSS pixels.
export function drawSparkline(canvas, series, { width, height, color }) {
  const scale = globalThis.devicePixelRatio || 1;
  const w = Math.round(width * scale);
  const h = Math.round(height * scale);
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  const n = series.length;
  if (n < 2) return;

  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < n; i++) {
    const v = series.at(i);
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const inset = 3; // room for the line's width and the dot at its end
  const x = (i) => (i / (n - 1)) * (width - inset - 1) + 1;
  const y = (v) => (max === min ? height / 2 : inset + ((max - v) / (max - min)) * (height - 2 * inset));

  g.beginPath();
  g.moveTo(x(0), y(series.at(0)));
  for (let i = 1; i < n; i++) g.lineTo(x(i), y(series.at(i)));
  g.strokeStyle = g.fillStyle = color;
  g.lineWidth = 1.25;
  g.lineJoin = "round";
  g.stroke();

  g.lineTo(x(n - 1), height);
  g.lineTo(x(0), height);
  g.globalAlpha = 0.1;
  g.fill();
  g.globalAlpha = 1;

  g.beginPath();
  g.arc(x(n - 1), y(series.at(n - 1)), 2, 0, 2 * Math.PI);
  g.fill();
}
