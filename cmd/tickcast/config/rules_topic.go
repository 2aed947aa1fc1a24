package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/cmd/message"
)

// classes requires valid classes of topics, each of which is the first to fit some topic.
func (v *validation) classes(c *Config, maxLength int) {
	rates := make(map[string]bool)
	for i := range c.Classes {
		t := &c.Classes[i]
		v.class = className(i, t.Match)
		keyOf := func(name string) string { return join(classPath(i), name) }
		if v.match(keyOf("match"), t.Match, maxLength) {
			v.reachable(keyOf("match"), t.Match, c.Classes[:i])
			if err := checkSubject(t.Match, t.Subject, maxLength); t.Subject != "" && err != nil {
				v.add(keyOf("subject"), "%.80q %w", t.Subject, err)
			}
		}
		v.oneOf(keyOf("mode"), t.Mode, "last", "all")
		v.rates(keyOf("rates"), t)
		for _, rate := range t.Rates {
			rates[rate] = true
		}
		if len(rates) > topics.MaxRates {
			v.add(keyOf("rates"), "brings the different rates of all classes to %d, of %d at most", len(rates), topics.MaxRates)
		}
		v.oneOf(keyOf("snapshot"), t.Snapshot, "none", "memory", "jetstream")
		if t.Snapshot == "jetstream" {
			v.fromJetStream(keyOf("snapshot"), t, &c.NATS)
		}
		v.streamName(keyOf("stream"), t.Stream, t)
		v.streamName(keyOf("domain"), t.Domain, t)
		between(v, keyOf("history"), t.History, 0, 1_000_000)
		zeroOr(v, keyOf("history_ttl"), t.HistoryTTL, time.Millisecond, 365*24*time.Hour)
		zeroOr(v, keyOf("stale_after"), t.StaleAfter, 100*time.Millisecond, 24*time.Hour)
		zeroOr(v, keyOf("delay"), t.Delay, time.Millisecond, 24*time.Hour)
		v.oneOf(keyOf("payload"), t.Payload, "json", "text", "binary")
		v.oneOf(keyOf("subscribe"), t.Subscribe, "demand", "always")
		if t.Subscribe == "demand" && t.Delay > 0 {
			v.addHint(keyOf("subscribe"), "use \"always\", or leave it out",
				"must not be \"demand\" with a delay: the first subscriber would see nothing for so long")
		}
	}
	v.class = ""
}

// match requires a topic or pattern that a client may name, and reports whether it is one.
func (v *validation) match(key, match string, maxLength int) bool {
	if match == "" {
		v.addHint(key, "name a topic or a pattern, such as \"px.>\"", "must be given")
		return false
	}
	if err := subject.Check(match, maxLength, maxLength); err != nil {
		v.add(key, "%.80q: %w", match, err)
		return false
	}
	return true
}

// reachable requires that no earlier class has all topics of match.
func (v *validation) reachable(key, match string, before []Class) {
	for i := range before {
		if earlier := before[i].Match; subject.Covers(earlier, match) {
			v.addHint(key, "the first class that fits a topic counts: put narrow ones before wide ones",
				"never counts: %s before it takes all of its topics", className(i, earlier))
			return
		}
	}
}

// rates requires distinct durations.
func (v *validation) rates(key string, t *Class) {
	if len(t.Rates) > 0 && t.Mode == "all" {
		v.addHint(key, "use mode \"last\"", "must be empty with mode \"all\", which leaves out no message")
	}
	var seen []time.Duration
	for _, text := range t.Rates {
		d, err := parseDuration(text)
		switch {
		case err != nil:
			v.add(key, "%w", err)
		case d < 10*time.Millisecond || d > time.Hour:
			v.add(key, "must each be between 10ms and 1h, not %s", text)
		case slices.Contains(seen, d):
			v.add(key, "must differ, but %s is there twice", formatDuration(d))
		}
		seen = append(seen, d)
	}
}

// fromJetStream requires JetStream, and topics without a delay.
func (v *validation) fromJetStream(key string, t *Class, nats *NATS) {
	if !nats.JetStream {
		v.addHint(key, "set jetstream = true in [nats]", "must not be \"jetstream\" without nats.jetstream")
	}
	if t.Delay > 0 {
		v.addHint(key, "use \"memory\"", "must not be \"jetstream\" with a delay: what a stream holds last is not delayed")
	}
}

// streamName requires a name that NATS accepts for streams and domains, and a class with a stream.
func (v *validation) streamName(key, name string, t *Class) {
	switch {
	case name == "":
	case t.Snapshot != "jetstream":
		v.addHint(key, "set snapshot = \"jetstream\"", "must not be given without a stream")
	case strings.ContainsAny(name, " \t\r\n\f.*>/\\") || len(name) > 255:
		v.add(key, "%.80q must have no space, dot, *, > or slash, and 255 bytes at most", name)
	}
}

// checkSubject returns an error unless source is a subject that maps match: each topic must have a subject of its own, and each
// subject a topic. So source names each * of match once, by its number, and ends in > if match does.
func checkSubject(match, source string, maxLength int) error {
	stars := 0
	for token := range strings.SplitSeq(match, ".") {
		if token == "*" {
			stars++
		}
	}
	tokens, used := strings.Split(source, "."), make([]bool, stars)
	for i, token := range tokens {
		n, isStar := subject.StarNumber(token)
		switch {
		case isStar && (n < 1 || n > stars):
			return fmt.Errorf("has %s, but match does not have so many *", token)
		case isStar && used[n-1]:
			return fmt.Errorf("has %s twice", token)
		case isStar:
			used[n-1], tokens[i] = true, "*"
		case token == "*":
			return message.WithHint(errors.New("has a *"), "write $1 for what the first * of match takes, $2 for the second")
		case strings.Contains(token, "$"):
			return message.WithHint(fmt.Errorf("has %q: a $ must begin a token and only a number may follow", token),
				"write $1 for what the first * of match takes, $2 for the second")
		}
	}
	if n := slices.Index(used, false); n >= 0 {
		return message.WithHint(fmt.Errorf("does not have $%d, which stands for * number %d of match", n+1, n+1),
			"a topic must be told from its subject")
	}
	if strings.HasSuffix(match, ">") != strings.HasSuffix(source, ">") {
		return message.WithHint(errors.New("must end in > if match does, and only then"), "> stands for the same rest of the topic in both")
	}
	if err := subject.Check(strings.Join(tokens, "."), maxLength, maxLength); err != nil {
		return fmt.Errorf("makes no subject: %w", err)
	}
	return nil
}
