// The axes of a chart: round prices, and round local times.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12, 24].map((n) => n * HOUR),
];

// The prices at which an axis has lines, about count of them at most: {step, decimals, values}. decimals is enough to tell them
// apart, and the step is not below the smallest difference that prices have.
export function priceTicks(low, high, count, smallest = 0) {
  const raw = Math.max((high - low) / count, smallest);
  if (!(raw > 0) || !Number.isFinite(raw)) return { step: 0, decimals: 0, values: [low] };
  const unit = 10 ** Math.floor(Math.log10(raw * 1.000_001));
  const step = [1, 2, 5, 10].find((n) => n * unit >= raw * 0.999_999) * unit;
  const values = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9 && values.length <= count; n++) values.push(n * step);
  return { step, decimals: Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))), values };
}

// The range of an axis for these prices: a little room above and below, and some around a price that stands still.
export function priceRange(low, high) {
  const room = high > low ? (high - low) * 0.08 : Math.max(Math.abs(high) * 0.0005, 1e-8);
  return [low - room, high + room];
}

// The times at which an axis has marks, at most count of them: {step, values}. They are round in local time, which is ahead
// of UTC by offset milliseconds.
export function timeTicks(from, to, count, offset) {
  const step = TIME_STEPS.find((s) => (to - from) / s <= count) ?? Math.ceil((to - from) / count / (24 * HOUR)) * 24 * HOUR;
  const values = [];
  for (let t = Math.ceil((from + offset) / step) * step - offset; t <= to; t += step) values.push(t);
  return { step, values };
}

// Milliseconds by which local time is ahead of UTC at a time.
export function localOffset(time) {
  return -new Date(time).getTimezoneOffset() * MINUTE;
}

const clock = (options) => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...options });
const toMinute = clock({});
const toSecond = clock({ second: "2-digit" });
const toDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

// A time of an axis with this step, as text in local time.
export function timeLabel(time, step) {
  return step >= 24 * HOUR ? toDay.format(time) : (step < MINUTE ? toSecond : toMinute).format(time);
}

// A time with its seconds.
export function timeText(time) {
  return toSecond.format(time);
}
