// When a client that has lost its server may try again. All times in milliseconds.

const BASE = 250;
const MAX = 15_000;
const SPREAD = [1_000, 15_000]; // a server that goes away without saying when to come back
const SPREAD_MAX = 600_000; // do not believe a server that asks for more
const HIDDEN_MIN = 15_000; // hidden tabs wait this long, and up to as long again

// How long to wait before the next attempt, in milliseconds, and whether that wait binds, because
// the server has asked for it: window is its wish [min, max], code the close code (0 if the
// connection never was, or died), attempt counts from 0.
export function retryDelay({ code, window = null, attempt, hidden = false, random = Math.random }) {
  const leaving = code === 1001 || code === 1012 || code === 1013;
  if (window || leaving) {
    const [min, max] = window ?? SPREAD;
    return { delay: min + random() * (max - min), bound: true };
  }
  // "Full jitter": anywhere from nothing to the limit, so that clients that were cut off together
  // do not come back together.
  let delay = random() * Math.min(MAX, BASE * 2 ** Math.min(attempt, 30));
  if (hidden) delay = Math.max(delay, HIDDEN_MIN + random() * HIDDEN_MIN);
  return { delay, bound: false };
}

// Close code: nothing was subscribed in time.
export const NOTHING_WANTED = 4001;

// Whether a close code means that the client is not to come back by itself.
export function isFinal(code) {
  return code >= 4500 && code <= 4999;
}

// A server's wish [min, max], bounded; null if it is none.
export function timeWindow(after) {
  const [min, max] = Array.isArray(after) ? after : [];
  return min >= 0 && max >= min ? [Math.min(min, SPREAD_MAX), Math.min(max, SPREAD_MAX)] : null;
}
