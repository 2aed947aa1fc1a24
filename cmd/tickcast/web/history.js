// The prices of one topic as the page has seen them, with the times at which they were not known.
//
// Times are milliseconds since 1970 of this machine, at which the message arrived.

const CAPACITY = 720; // points of a track
const FINE = 500; // ms between two points of the last minutes
const COARSE = 2_000; // ms between two points of all the time, at first
const MAX_MARKS = 100;
const APART = 0.01; // ms between a price and a mark of the same millisecond, to tell their order
const WIDTH = 4; // numbers of a point: time, last, low, high

// Points in the order of time. Values that follow each other closely share a point, which has the last, the lowest and the
// highest of them.
export class Track {
  length = 0;
  spacing; // ms between two points at least
  #thins;
  #numbers = new Float64Array(32 * WIDTH); // grows: most tables have few rows that are watched for long

  // A full track that thins joins its points in pairs, so it covers all the time; another forgets its oldest points.
  constructor(spacing, thins) {
    this.spacing = spacing;
    this.#thins = thins;
  }

  time(i) {
    return this.#numbers[i * WIDTH];
  }

  last(i) {
    return this.#numbers[i * WIDTH + 1];
  }

  low(i) {
    return this.#numbers[i * WIDTH + 2];
  }

  high(i) {
    return this.#numbers[i * WIDTH + 3];
  }

  // Adds a value, as a point of its own if apart is true or the newest point is old enough.
  push(time, value, apart) {
    if (this.length > 0 && !apart && time - this.time(this.length - 1) < this.spacing) {
      const at = (this.length - 1) * WIDTH;
      this.#numbers[at + 1] = value;
      if (value < this.#numbers[at + 2]) this.#numbers[at + 2] = value;
      if (value > this.#numbers[at + 3]) this.#numbers[at + 3] = value;
      return;
    }
    if (this.length === CAPACITY) this.#makeRoom();
    if (this.length * WIDTH === this.#numbers.length) {
      const larger = new Float64Array(Math.min(2 * this.#numbers.length, CAPACITY * WIDTH));
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers.set([time, value, value, value], this.length++ * WIDTH);
  }

  // The index of the newest point at or before a time; -1 if there is none.
  indexAt(time) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time(middle) <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #makeRoom() {
    const n = this.#numbers;
    if (!this.#thins) {
      const kept = CAPACITY - CAPACITY / 8;
      n.copyWithin(0, (CAPACITY - kept) * WIDTH);
      this.length = kept;
      return;
    }
    for (let i = 0; i < CAPACITY; i += 2) {
      const a = i * WIDTH;
      const b = a + WIDTH;
      n.set([n[a], n[b + 1], Math.min(n[a + 2], n[b + 2]), Math.max(n[a + 3], n[b + 3])], (i / 2) * WIDTH);
    }
    this.length = CAPACITY / 2;
    this.spacing *= 2;
  }
}

// A mark is a time without prices, {from, to, kind}. kind is "stale", "offline", or "gap" for messages that are lost, for
// which from and to are the same. to is null while it lasts.
export class History {
  marks = []; // the oldest first
  #fine = new Track(FINE, false);
  #coarse = new Track(COARSE, true);
  #state = "";
  #newest = 0; // time of the last entry; a clock that is set back stands still here
  #apart = false; // the next price begins a line of its own

  // Adds a price that arrived at a time.
  push(time, value) {
    this.#newest = time = Math.max(this.#newest, time);
    const isFirst = this.length === 0;
    this.#fine.push(time, value, this.#apart);
    this.#coarse.push(time, value, this.#apart);
    this.#apart = false;
    if (isFirst && this.#state !== "") this.#mark(this.#state, null);
  }

  // From this time on prices are known (""), or they are not: "stale" or "offline".
  setState(time, state) {
    if (state === this.#state) return;
    this.#newest = Math.max(this.#newest + APART, time);
    const open = this.marks.at(-1);
    if (open?.to === null) open.to = this.#newest;
    this.#state = state;
    if (state !== "") this.#mark(state, null);
  }

  // Messages behind the newest price are lost.
  addGap(time) {
    if (this.#apart && this.marks.at(-1)?.kind === "gap") return; // the same one, told twice
    this.#newest = Math.max(this.#newest + APART, time);
    const open = this.marks.at(-1)?.to === null ? this.marks.pop() : null;
    this.#mark("gap", this.#newest);
    if (open) this.marks.push(open); // remains the last one
  }

  get length() {
    return this.#coarse.length;
  }

  // The time of the first price; 0 without one.
  get firstTime() {
    return this.length > 0 ? this.#coarse.time(0) : 0;
  }

  // The track with enough points for the time since from: the fine one, if it reaches so far.
  trackSince(from) {
    const reaches = this.#fine.length > 0 && (this.#fine.time(0) <= from || this.#fine.time(0) === this.firstTime);
    return reaches ? this.#fine : this.#coarse;
  }

  #mark(kind, to) {
    this.#apart = true;
    if (this.length === 0) return; // nothing to interrupt yet
    this.marks.push({ from: to ?? (this.#newest += APART), to, kind });
    if (this.marks.length > MAX_MARKS) this.marks.shift();
  }
}

// Whether a mark makes the price of a point unknown at a later time.
function hides({ from, to }, point, later) {
  return from <= later && (from > point || to === null || to > point);
}

// The unbroken lines of a track between two times, as ranges of its points: {first, last, until}. The value of the last point
// holds until a time: that of the next mark, or the end. The first range may begin with the last point before from.
export function pieces(track, marks, from, to) {
  let first = Math.max(0, track.indexAt(from));
  const since = track.length > 0 ? track.time(first) : from;
  const near = marks.filter((mark) => (mark.to ?? Infinity) > since && mark.from <= to);
  const result = [];
  for (let i = first; i < track.length; i++) {
    const time = track.time(i);
    const next = i + 1 < track.length ? track.time(i + 1) : to;
    const cut = near.find((mark) => hides(mark, time, next));
    if (!cut && i + 1 < track.length) continue;
    result.push({ first, last: i, until: Math.max(time, cut?.from ?? to) });
    first = i + 1;
  }
  return result;
}

// The price at a time, as {index, kind}: the point that holds then, and the kind of the mark since it ("" without one).
// null before the first point.
export function readingAt(track, marks, time) {
  const index = track.indexAt(time);
  if (index < 0) return null;
  return { index, kind: marks.findLast((mark) => hides(mark, track.time(index), time))?.kind ?? "" };
}

// The times between two that have something to read: those of the points, the last one before from among them, and the begins
// of marks.
export function stops(track, marks, from, to) {
  const times = marks.map((mark) => mark.from).filter((time) => time >= from && time <= to);
  for (let i = Math.max(0, track.indexAt(from)); i < track.length && track.time(i) <= to; i++) times.push(Math.max(from, track.time(i)));
  return times.sort((a, b) => a - b);
}
