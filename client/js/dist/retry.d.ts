export declare const LEAVING = 1000;
/** "Full jitter": a random wait up to a limit that doubles, so that clients that were cut off together do not come back
 *  together. `attempt` counts from 0. */
export declare function backoff(attempt: number, hidden?: boolean): number;
/** A moment from now, within the window that a server wishes. */
export declare function wish(min: number, max?: number): number;
/** Whether a close code says that the server goes away. */
export declare function isLeaving(code: number): boolean;
/** No WebSocket on this platform: a final code that no server and no proxy sends. */
export declare const NO_WEBSOCKET = 4999;
/** Close code: nothing was subscribed in time. The next subscription connects again. */
export declare const IDLE = 4001;
/** Whether a close code or HTTP status forbids a client to come back by itself. */
export declare function isFinal(code: number): boolean;
