import { type Line } from "./transport.js";
import { type Emit, type Options, type Status } from "./types.js";
/** What the connection's owner does. */
export interface Owner {
    emit: Emit;
    token(): Promise<string | undefined>;
    /** The query of a request that names all subscriptions. */
    query(): Record<string, string>;
    received(message: any): void;
    /** Whether anything is subscribed. */
    wants(): boolean;
    /** A line without commands is open. */
    begin(): void;
    /** The line is gone. */
    dropped(): void;
    ping(): void;
}
export declare class Connection {
    #private;
    status: Status;
    /** Topics and patterns that the server called stale. */
    readonly silent: Set<string>;
    line: Line | null;
    /** Of the line. */
    token?: string | undefined;
    /** Counts the attempts: what an older line says is ignored. */
    dials: number;
    /** Milliseconds between two messages at most; 0 is no promise. */
    beat: number;
    /** When the server wishes that the client comes back; 0 = it does not say. */
    wished: number;
    constructor(url: string, options: Options, owner: Owner);
    connect(): void;
    close(): void;
    /** The server wishes that the client comes back in so many milliseconds, and not before. */
    wish(delay: number): void;
    /** The server takes commands, or has answered the request that names the subscriptions. */
    begin(): void;
    /** Since when it is live; 0 if it is not. */
    get isLive(): number;
    lost(code: number, reason: string): void;
    redial(): void;
    /** Gives the line up after two and a half heartbeats of silence, the last half after a ping. A timer that is late means
     *  that the machine slept: messages may wait behind it, so the ping comes first. */
    watch(): void;
    setStatus(change: Partial<Status>): void;
    /** Sets the line's timer of a name, or clears it. */
    timer(name: string, delay?: number, f?: () => void): void;
}
