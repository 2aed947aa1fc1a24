package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tickcast/broadcast"
)

// Every change of the second class makes one problem, of the key named first.
func TestValidateTopic(t *testing.T) {
	for _, tt := range []struct {
		key    string
		change func(t *TopicConfig)
	}{
		{"match", func(t *TopicConfig) { t.Match = "" }},
		{"match", func(t *TopicConfig) { t.Match = "px..*" }},
		{"match", func(t *TopicConfig) { t.Match = "px.>.a" }},
		{"match", func(t *TopicConfig) { t.Match = "_INBOX.*" }},
		{"match", func(t *TopicConfig) { t.Match = "$JS.*" }},
		{"match", func(t *TopicConfig) { t.Match = "orders.*" }},
		{"match", func(t *TopicConfig) { t.Match = strings.Repeat("t", 256) }},
		{"subject", func(t *TopicConfig) { t.Subject = "px.*" }},
		{"mode", func(t *TopicConfig) { t.Mode = "" }},
		{"rates", func(t *TopicConfig) { t.Mode, t.Rates = "all", []string{"1s"} }},
		{"rates", func(t *TopicConfig) { t.Rates = []string{"9ms"} }},
		{"rates", func(t *TopicConfig) { t.Rates = []string{"61m"} }},
		{"rates", func(t *TopicConfig) { t.Rates = []string{"1s", "60s", "1m"} }},
		{"rates", func(t *TopicConfig) { t.Rates = []string{"1"} }},
		{"snapshot", func(t *TopicConfig) { t.Snapshot = "disk" }},
		{"snapshot", func(t *TopicConfig) { t.Snapshot = "jetstream" }},
		{"history", func(t *TopicConfig) { t.History = 1_000_001 }},
		{"history_ttl", func(t *TopicConfig) { t.HistoryTTL = -1 }},
		{"stale_after", func(t *TopicConfig) { t.StaleAfter = 99 * time.Millisecond }},
		{"delay", func(t *TopicConfig) { t.Delay, t.Subscribe = 25*time.Hour, "always" }},
		{"delay", func(t *TopicConfig) { t.Delay = -time.Second }},
		{"payload", func(t *TopicConfig) { t.Payload = "JSON" }},
		{"subscribe", func(t *TopicConfig) { t.Subscribe = "never" }},
		{"subscribe", func(t *TopicConfig) { t.Delay = time.Second }},
	} {
		c := Default()
		c.Topics = []TopicConfig{DefaultTopic("orders.>"), DefaultTopic("px.*")}
		tt.change(&c.Topics[1])
		problems := flatten(nil, c.Validate())
		if len(problems) != 1 {
			t.Errorf("%s: want one problem, got %q", tt.key, problems)
			continue
		}
		var k *keyError
		if !errors.As(problems[0], &k) || k.key != "topic.2."+tt.key || k.of != topicName(1, c.Topics[1].Match) {
			t.Errorf("%s: got %v", tt.key, problems[0])
		}
	}
}

func TestValidateTopicAccepts(t *testing.T) {
	c := Default()
	c.NATS.JetStream, c.NATS.Embedded.StoreDir = true, "not-there-yet"
	c.Topics = []TopicConfig{
		{Match: "delayed.px.*", Subject: "px.$1", Mode: "last", Snapshot: "memory", Delay: 24 * time.Hour, Payload: "json",
			Subscribe: "always"},
		{Match: "orders.>", Mode: "all", Snapshot: "none", History: 1_000_000, HistoryTTL: time.Hour, Payload: "binary",
			Subscribe: "demand"},
		{Match: "px.*", Mode: "last", Rates: []string{"10ms", "1s", "1h"}, Snapshot: "jetstream",
			StaleAfter: 100 * time.Millisecond, Payload: "text", Subscribe: "always"},
		{Match: "free.>", Subject: ">", Mode: "last", Snapshot: "memory", Payload: "json", Subscribe: "demand"},
		DefaultTopic(">"),
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCheckSubject(t *testing.T) {
	for _, tt := range []struct {
		match, subject string
		problem        string // contained in it; "" = none
	}{
		{"a", "b.c", ""},
		{"delayed.px.*", "px.$1", ""},
		{"a.*.b.*", "x.$2.$1", ""},
		{"*.a", "$1", ""},
		{"free.>", ">", ""},
		{"a.*.>", "b.$1.>", ""},
		{"px.*", "px", "does not have $1"},
		{"a.*.*", "b.$1", "does not have $2"},
		{"a.*", "b.$1.$1", "has $1 twice"},
		{"a.*", "b.$1.$2", "has $2, but"},
		{"a", "b.$1", "has $1, but"},
		{"a.*", "$0.b", "has $0, but"},
		{"a.*", "b.*", "has a *"},
		{"a.*", "b.x$1", `has "x$1"`},
		{"a.*", "b.$01", `has "$01"`},
		{"a.*", "$1x", `has "$1x"`},
		{"a.*", "$SYS.$1", `has "$SYS"`},
		{"a.>", "b", "must end in >"},
		{"a", "b.>", "must end in >"},
		{"a.>", ">.b.>", "wildcard"},
		{"a", "_b", "reserved"},
		{"a", "b..c", "empty token"},
		{"a", "b c", "space"},
		{"a", strings.Repeat("b", 256), "too long"},
	} {
		err := checkSubject(tt.match, tt.subject, 255)
		if (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s from %s: got %v, want %q", tt.subject, tt.match, err, tt.problem)
		}
	}
}

func TestMatchCovers(t *testing.T) {
	for _, tt := range []struct {
		outer, inner string
		want         bool
	}{
		{">", ">", true},
		{">", "a", true},
		{">", "*.>", true},
		{"*", "a", true},
		{"*", "*", true},
		{"a.*", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a.*", true},
		{"a.>", "a.*.>", true},
		{"*.>", "a.>", true},
		{"*.b", "a.b", true},
		{"a.b", "a.b", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.>", "a", false},
		{"a.*", "a.>", false},
		{"a.*", "a.b.c", false},
		{"*.>", ">", false},
		{"a.b", "a.*", false},
		{"a.>", "*.b", false},
	} {
		if got := broadcast.Covers(tt.outer, tt.inner); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.outer, tt.inner, got)
		}
	}
}
