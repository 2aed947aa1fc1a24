// Topics are NATS subjects: tokens with points between them. * stands for one token in a pattern, >
// for all that follow.

// Whether a pattern takes in a topic or another pattern.
export function covers(pattern, topic) {
  const p = pattern.split(".");
  const t = topic.split(".");
  for (let i = 0; i < p.length; i++) {
    if (p[i] === ">" && i === p.length - 1) return t.length > i;
    if (i >= t.length) return false;
    if (t[i] === ">") return false;
    if (p[i] !== "*" && p[i] !== t[i]) return false;
  }
  return p.length === t.length;
}

export function isPattern(topic) {
  return topic.split(".").some((token) => token === "*" || token === ">");
}
