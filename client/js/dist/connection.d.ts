import type { Subscriptions } from "./subscriptions.js";
import { type Line, type Listener } from "./transport.js";
import { type Emit, type Options, type Status } from "./types.js";
export declare const enum Timer {
    Retry = 0,
    Open = 1,
    Upgrade = 2,
    Heartbeat = 3,
    /** For subscriptions that were refused for now. */
    Again = 4,
    /** For a request with other subscriptions. */
    Ask = 5
}
/** What the connection's owner does. */
export interface Owner {
    emit: Emit;
    token(): Promise<string | undefined>;
    received(message: any): void;
    /** A line without commands is open. */
    begin(): void;
    /** The line is gone. */
    dropped(): void;
    ping(): void;
}
export declare class Connection implements Listener {
    #private;
    status: Status;
    line: Line | null;
    /** Of the line. */
    token?: string | undefined;
    /** Since when it is live; 0 = not. */
    isLive: number;
    /** Counts the attempts: what an older line says is ignored. */
    dials: number;
    /** Milliseconds between two messages at most; 0 is no promise. */
    beat: number;
    /** When the server wishes that the client comes back; 0 = it does not say. */
    wished: number;
    readonly received: Owner["received"];
    constructor(url: string, options: Options, subs: Subscriptions, owner: Owner);
    connect(): void;
    close(): void;
    /** The server wishes that the client comes back in so many milliseconds, and not before. By default max is half as much again. */
    wish(min: number, max?: number): void;
    /** The server takes commands, or has answered the request that names the subscriptions. */
    begin(): void;
    heard(): void;
    lost(code: number, reason: string): void;
    redial(): void;
    /** Gives the line up after two and a half heartbeats of silence, the last half after a ping. A timer that is late means
     *  that the machine slept: messages may wait behind it, so the ping comes first. */
    watch(): void;
    setStatus(change: Partial<Status>): void;
    /** Sets a timer of the line, or clears it. */
    timer(timer: Timer, delay?: number, f?: () => void): void;
}
