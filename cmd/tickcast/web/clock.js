// The server's clock, measured by this client.

// The local time in milliseconds since 1970, with a fraction. It does not jump when the clock is set.
export function localTime() {
  return performance.timeOrigin + performance.now();
}

// The difference between the server's clock and the local one, from pings. A round trip of 20 ms
// gives it to within 10 ms, so only the quickest recent pings count. Those within a millisecond of
// the quickest are averaged, because the server's times are whole milliseconds.
export class ClockOffset {
  #samples = []; // {offset, roundTrip}, the newest last
  offset = null; // ms to add to localTime()
  roundTrip = null; // ms, of the quickest sample

  // Times in ms: sent and received by the local clock, answered by the server's.
  add(sent, received, answered) {
    const roundTrip = received - sent;
    if (!(roundTrip >= 0)) return; // the local clock was set back meanwhile
    this.#samples.push({ roundTrip, offset: answered - (sent + received) / 2 });
    if (this.#samples.length > 12) this.#samples.shift();
    this.roundTrip = Math.min(...this.#samples.map((s) => s.roundTrip));
    const best = this.#samples.filter((s) => s.roundTrip <= this.roundTrip + 1);
    this.offset = best.reduce((sum, s) => sum + s.offset, 0) / best.length;
  }
}
