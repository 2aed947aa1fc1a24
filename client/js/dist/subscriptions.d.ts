import { type Ack, type Emit, type Handler, type Message, type SubscribeOptions, type TopicState } from "./types.js";
/** Throws where nobody catches: the console shows it, and Node.js ends. */
export declare const uncaught: (error: unknown) => void;
/** One handler's error does not keep messages from others. */
export declare function call<T>(f: (argument: T) => void, argument: T): void;
export declare class Subscriptions {
    #private;
    /** Topics and patterns that the server called stale. */
    readonly silent: Set<string>;
    constructor(emit: Emit);
    want(topics: string[], handler: Handler, { rate, after }: SubscribeOptions): void;
    /** Takes one handler off, or all. */
    unwant(topics: string[], handler?: Handler): void;
    /** The connection has ended. */
    reset(): void;
    /** The commands that bring the server up to date, each within its limits. nextId numbers them. */
    commands(bytes: number, nextId: () => number): Generator<string>;
    /** The subscriptions as the query of a request. */
    query: () => Record<string, string>;
    /** Whether the server does not know yet what is wanted. */
    get isDue(): boolean;
    /** Asks again for what the server could not give. */
    again(): void;
    deliver(m: Message): void;
    /** Messages of a topic are lost behind the last one. */
    gap(topic: string, why: string): void;
    /** An answer to a sub, or to an auth whose token covers less (103). Returns the milliseconds until again() helps, or nothing. */
    acked({ id, topics, errors }: Ack): number | undefined;
    /** A command was refused as a whole. */
    refused(id: unknown, code: number, msg: string): number | undefined;
    state(topic: string): TopicState;
    /** Tells the states that have changed. */
    tell(): void;
    cursor(topic: string): string | null;
}
