package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickcast/broadcast"
)

// topics demands classes of topics that make sense, each of which is the first to fit some topic.
func (v *validation) topics(c *Config, maxLength int) {
	rates := make(map[string]bool)
	for i := range c.Topics {
		t := &c.Topics[i]
		v.of = topicName(i, t.Match)
		at := func(name string) string { return join(topicPath(i), name) }
		if v.match(at("match"), t.Match, maxLength) {
			v.reachable(at("match"), t.Match, c.Topics[:i])
			if err := checkSubject(t.Match, t.Subject, maxLength); t.Subject != "" && err != nil {
				v.bad(at("subject"), "%.80q %w", t.Subject, err)
			}
		}
		v.oneOf(at("mode"), t.Mode, "last", "all")
		v.rates(at("rates"), t)
		for _, rate := range t.Rates {
			rates[rate] = true
		}
		if len(rates) > broadcast.MaxRates {
			v.bad(at("rates"), "brings the different rates of all classes to %d, of %d at most", len(rates), broadcast.MaxRates)
		}
		v.oneOf(at("snapshot"), t.Snapshot, "none", "memory", "jetstream")
		if t.Snapshot == "jetstream" {
			v.fromJetStream(at("snapshot"), t, &c.NATS)
		}
		between(v, at("history"), t.History, 0, 1_000_000)
		v.zeroOrDuration(at("history_ttl"), t.HistoryTTL, time.Millisecond, 365*24*time.Hour)
		v.zeroOrDuration(at("stale_after"), t.StaleAfter, 100*time.Millisecond, 24*time.Hour)
		v.zeroOrDuration(at("delay"), t.Delay, time.Millisecond, 24*time.Hour)
		v.oneOf(at("payload"), t.Payload, "json", "text", "binary")
		v.oneOf(at("subscribe"), t.Subscribe, "demand", "always")
		if t.Subscribe == "demand" && t.Delay > 0 {
			v.bad(at("subscribe"), "%w", withHint(
				errors.New("must not be \"demand\" with a delay: the first subscriber would see nothing for so long"),
				"use \"always\", or leave it out"))
		}
	}
	v.of = ""
}

// match demands a topic or pattern that clients could ask for, and reports whether it is one.
func (v *validation) match(key, match string, maxLength int) bool {
	if match == "" {
		v.bad(key, "%w", withHint(errors.New("must be given"), "name a topic or a pattern, such as \"px.>\""))
		return false
	}
	if err := broadcast.CheckTopic(match, maxLength, maxLength); err != nil {
		v.bad(key, "%.80q: %w", match, err)
		return false
	}
	return true
}

// reachable demands that none of the classes before takes all that match fits.
func (v *validation) reachable(key, match string, before []TopicConfig) {
	for i := range before {
		if earlier := before[i].Match; broadcast.Covers(earlier, match) {
			v.bad(key, "%w", withHint(fmt.Errorf("never counts: %s before it takes all of its topics", topicName(i, earlier)),
				"the first class that fits a topic counts: put narrow ones before wide ones"))
			return
		}
	}
}

// rates demands distinct durations.
func (v *validation) rates(key string, t *TopicConfig) {
	if len(t.Rates) > 0 && t.Mode == "all" {
		v.bad(key, "%w", withHint(errors.New("must be empty with mode \"all\", which leaves out no message"), "use mode \"last\""))
	}
	var seen []time.Duration
	for _, text := range t.Rates {
		d, err := parseDuration(text)
		switch {
		case err != nil:
			v.bad(key, "%w", err)
		case d < 10*time.Millisecond || d > time.Hour:
			v.bad(key, "must each be between 10ms and 1h, not %s", text)
		case slices.Contains(seen, d):
			v.bad(key, "must differ, but %s is there twice", formatDuration(d))
		}
		seen = append(seen, d)
	}
}

// fromJetStream demands what a snapshot from JetStream needs.
func (v *validation) fromJetStream(key string, t *TopicConfig, nats *NATSConfig) {
	if !nats.JetStream {
		v.bad(key, "%w", withHint(errors.New("must not be \"jetstream\" without nats.jetstream"), "set jetstream = true in [nats]"))
	}
	if t.Delay > 0 {
		v.bad(key, "%w", withHint(errors.New("must not be \"jetstream\" with a delay: what a stream holds last is not delayed"),
			"use \"memory\""))
	}
}

// checkSubject says why subject is not what match is turned into, or nil. Each topic must have a subject of its own and
// the other way round: each * of match is taken once, by its number, and so is a final >.
func checkSubject(match, subject string, maxLength int) error {
	stars := 0
	for token := range strings.SplitSeq(match, ".") {
		if token == "*" {
			stars++
		}
	}
	tokens, used := strings.Split(subject, "."), make([]bool, stars)
	for i, token := range tokens {
		n, isStar := starNumber(token)
		switch {
		case isStar && (n < 1 || n > stars):
			return fmt.Errorf("has %s, but match does not have so many *", token)
		case isStar && used[n-1]:
			return fmt.Errorf("has %s twice", token)
		case isStar:
			used[n-1], tokens[i] = true, "*"
		case token == "*":
			return withHint(errors.New("has a *"), "write $1 for what the first * of match takes, $2 for the second")
		case strings.Contains(token, "$"):
			return withHint(fmt.Errorf("has %q: a $ must begin a token and only a number may follow", token),
				"write $1 for what the first * of match takes, $2 for the second")
		}
	}
	if n := slices.Index(used, false); n >= 0 {
		return withHint(fmt.Errorf("does not have $%d, which stands for * number %d of match", n+1, n+1),
			"a topic must be told from its subject")
	}
	if rest := strings.HasSuffix(match, ">"); rest != strings.HasSuffix(subject, ">") {
		return withHint(errors.New("must end in > if match does, and only then"), "> stands for the same rest of the topic in both")
	}
	if err := broadcast.CheckTopic(strings.Join(tokens, "."), maxLength, maxLength); err != nil {
		return fmt.Errorf("makes no subject: %w", err)
	}
	return nil
}

// starNumber returns 2 for the token "$2", which stands for what the second * of match takes.
func starNumber(token string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(token, "$")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && strconv.Itoa(n) == digits
}
