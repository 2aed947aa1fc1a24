/** Whether a pattern, or a topic, covers a topic. */
export declare function covers(pattern: string, topic: string): boolean;
