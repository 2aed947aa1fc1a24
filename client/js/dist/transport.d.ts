import { type Options } from "./types.js";
/** What hears a line. After the line's close() it hears nothing more. */
export interface Listener {
    /** The line is open, and the server is alive. */
    heard(): void;
    /** A message of the server, heard before. */
    received(message: any): void;
    /** The server wishes that the client comes back in so many milliseconds, and not before. */
    wish(min: number): void;
    /** The end. code is a close code, an HTTP status, or 0 if the server was not reached. */
    lost(code: number, reason: string): void;
}
export interface Line {
    /** Undefined where commands cannot be sent: the request names all subscriptions. */
    send?: (text: string) => void;
    close(): void;
}
/** The WebSocket of the options, of the platform, or of npm's ws. */
export declare function findWebSocket(options: Options): Promise<any>;
export declare function webSocket(WebSocket: any, url: string, on: Pick<Listener, "heard"> & Partial<Listener>): Line;
/** The connection of a SharedWorker, which is a server to its tabs. */
export declare function shared(worker: string | URL | undefined, url: string, on: Listener): Line;
/** Server-Sent Events or, with poll, one request after another. query gives the form of the next request. */
export declare function fetched(url: string, poll: boolean, query: () => Record<string, string>, token: string | undefined, on: Listener): Line;
/** A request. A form needs no preflight at another origin; a token does. */
export declare function ask(url: string | URL, query: Record<string, string>, token?: string, signal?: AbortSignal, accept?: string): Promise<Response>;
