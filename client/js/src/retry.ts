// Whether and when a client comes back. All times in milliseconds.

const MIN = 500;
const FIRST = 2_000; // upper end of the first wait: the clients of a server that died come back spread over it
const MAX = 20_000;
export const LEAVING = 1_000; // and up to 15 times as long, for a server that goes away without a wish of its own
const WISH_MAX = 600_000; // bounds the wish of a server
const HIDDEN = 15_000; // hidden tabs wait at least as long, and up to as long again

/** "Full jitter": a random wait up to a limit that doubles, so that clients that were cut off together do not come back
 *  together. `attempt` counts from 0. */
export function backoff(attempt: number, hidden = false): number {
  return hidden ? wish(HIDDEN, 2 * HIDDEN) : wish(MIN, Math.min(MAX, FIRST * 2 ** attempt));
}

/** A moment from now, within the window that a server wishes. */
export function wish(min: number, max = min * 1.5): number {
  return Math.min(min + Math.random() * (max - min), WISH_MAX);
}

/** Whether a close code says that the server goes away. */
export function isLeaving(code: number): boolean {
  return [1001, 1012, 1013].includes(code);
}

/** No WebSocket on this platform: a final code that no server and no proxy sends. */
export const NO_WEBSOCKET = 4_999;

/** Close code: nothing was subscribed in time. The next subscription connects again. */
export const IDLE = 4001;

/** Whether a close code or HTTP status forbids a client to come back by itself. */
export function isFinal(code: number): boolean {
  return [401, 403, 1008].includes(code) || code >= 4500;
}
