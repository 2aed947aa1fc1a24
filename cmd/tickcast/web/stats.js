// The figures of the header. All times in milliseconds.

// The nearest-rank percentile: the smallest of the sorted numbers with p percent of them at or below it.
export function percentile(sorted, p) {
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
}

// The latencies of the last few seconds, up to a capacity.
export class LatencyWindow {
  #span;
  #at;
  #value;
  #next = 0; // index of the next value; when full, also of the oldest
  #count = 0;

  constructor({ span = 5_000, capacity = 4_096 } = {}) {
    this.#span = span;
    this.#at = new Float64Array(capacity);
    this.#value = new Float64Array(capacity);
  }

  add(now, latency) {
    this.#at[this.#next] = now;
    this.#value[this.#next] = latency;
    this.#next = (this.#next + 1) % this.#at.length;
    this.#count = Math.min(this.#count + 1, this.#at.length);
  }

  // {p50, p99, count}, or null without latencies.
  summary(now) {
    const capacity = this.#at.length;
    const oldest = () => (this.#next - this.#count + capacity) % capacity;
    while (this.#count > 0 && this.#at[oldest()] < now - this.#span) this.#count--;
    const count = this.#count;
    if (count === 0) return null;
    const from = oldest();
    const sorted = Float64Array.from({ length: count }, (_, i) => this.#value[(from + i) % capacity]).sort();
    return { p50: percentile(sorted, 50), p99: percentile(sorted, 99), count };
  }

  clear() {
    this.#count = 0;
  }
}

const SLOT = 250;

// Events per second, over the last two seconds.
export class Meter {
  #slots = new Float64Array(9); // events per slot; the newest is incomplete
  #slot = 0; // number of the newest slot since time 0

  add(now) {
    this.#advance(now);
    this.#slots[this.#slot % this.#slots.length]++;
  }

  rate(now) {
    this.#advance(now);
    let sum = 0;
    for (const n of this.#slots) sum += n;
    sum -= this.#slots[this.#slot % this.#slots.length];
    return (sum / (this.#slots.length - 1) / SLOT) * 1_000;
  }

  #advance(now) {
    const slot = Math.floor(now / SLOT);
    const gone = Math.min(slot - this.#slot, this.#slots.length);
    for (let i = 0; i < gone; i++) this.#slots[(slot - i) % this.#slots.length] = 0;
    if (gone > 0) this.#slot = slot;
  }
}
