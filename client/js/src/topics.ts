// Topics are NATS subjects: tokens separated by dots. In a pattern, * stands for one token and a final > for one or more.

/** Whether a pattern, or a topic, covers a topic. */
export function covers(pattern: string, topic: string): boolean {
  const p = pattern.split(".");
  const t = topic.split(".");
  return (p.at(-1) === ">" ? t.length >= p.length : t.length === p.length) && p.every((token, i) => token === t[i] || token === ">" || (token === "*" && t[i] !== ">"));
}
