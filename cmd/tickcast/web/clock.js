// The server's clock, seen from here.

// Milliseconds since 1970 that do not jump when the clock is set, with a fraction.
export function localTime() {
  return performance.timeOrigin + performance.now();
}

// The difference between the server's clock and ours, from pings. A ping that took 20 ms tells it to
// within 10 ms; so of the recent ones the quickest count, and those within a millisecond of it are
// averaged, because the server's times are whole milliseconds.
export class ClockOffset {
  #samples = []; // {offset, roundTrip}, the newest last
  offset = null; // ms to add to localTime()
  roundTrip = null; // ms, of the quickest sample

  // Times in ms: sent and received by our clock, answered by the server's.
  add(sent, received, answered) {
    const roundTrip = received - sent;
    if (!(roundTrip >= 0)) return; // our clock was set back meanwhile
    this.#samples.push({ roundTrip, offset: answered - (sent + received) / 2 });
    if (this.#samples.length > 12) this.#samples.shift();
    this.roundTrip = Math.min(...this.#samples.map((s) => s.roundTrip));
    const best = this.#samples.filter((s) => s.roundTrip <= this.roundTrip + 1);
    this.offset = best.reduce((sum, s) => sum + s.offset, 0) / best.length;
  }
}
