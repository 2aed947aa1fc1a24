import { type Ack, type Events, type Handler, type Message, type Options, type Status, type SubscribeOptions, type TopicState } from "./types.js";
export { covers } from "./topics.js";
export * from "./types.js";
export declare class Tickcast {
    #private;
    /** The stream's absolute URL. */
    readonly url: string;
    /** Makes a client; the first subscription or command connects it. The URL may be relative to the page; ws, wss, http and
     *  https mean the same. */
    constructor(url?: string, options?: Options);
    get status(): Status;
    /** Connects at once: the first time, in place of the wait for the next attempt, or after a refusal that was final. */
    connect(): void;
    /** Ends the connection. Subscriptions stay, for the next connect. */
    close(): void;
    /** Subscribes a handler to topics or patterns, now and on every later connection. A handler that comes later gets the
     *  newest messages first, as snapshots. The newest rate of a topic counts for all its handlers. Returns the function that
     *  takes the handler off again; a topic without handlers is unsubscribed. */
    subscribe<D = any>(topics: string | readonly string[], handler: Handler<D>, options?: SubscribeOptions): () => void;
    /** Takes all handlers off. */
    unsubscribe(topics: string | readonly string[]): void;
    /** Publishes; resolves once the server has accepted the message. */
    publish(topic: string, data: unknown): Promise<void>;
    /** The newest messages of topics, asked for once. Topics that are refused beside others are events of their own. */
    latest<D = any>(topics: string | readonly string[]): Promise<Message<D>[]>;
    /** Sends any other command, such as {op: "list"}, once there is a connection. Resolves to the whole answer. */
    request(command: Record<string, unknown>): Promise<Ack>;
    /** Calls f at each such event, until the function that comes back is called. */
    on<K extends keyof Events>(name: K, f: (event: Events[K]) => void): () => void;
    /** The state of a topic or pattern. */
    state(topic: string): TopicState;
    /** The cursor of the last message of a subscription of mode "all", to subscribe with `after` another day; null if there is
     *  none. */
    cursor(topic: string): string | null;
}
