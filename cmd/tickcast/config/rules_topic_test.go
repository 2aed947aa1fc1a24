package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tickcast/cmd/message"
)

// TestValidateTopic requires one problem for each change of the second class, of the key named first.
func TestValidateTopic(t *testing.T) {
	for _, tt := range []struct {
		key    string
		change func(t *Class)
	}{
		{"match", func(t *Class) { t.Match = "" }},
		{"match", func(t *Class) { t.Match = "px..*" }},
		{"match", func(t *Class) { t.Match = "px.>.a" }},
		{"match", func(t *Class) { t.Match = "_INBOX.*" }},
		{"match", func(t *Class) { t.Match = "$JS.*" }},
		{"match", func(t *Class) { t.Match = "orders.*" }},
		{"match", func(t *Class) { t.Match = strings.Repeat("t", 256) }},
		{"subject", func(t *Class) { t.Subject = "px.*" }},
		{"mode", func(t *Class) { t.Mode = "" }},
		{"rates", func(t *Class) { t.Mode, t.Rates = "all", []string{"1s"} }},
		{"rates", func(t *Class) { t.Rates = []string{"9ms"} }},
		{"rates", func(t *Class) { t.Rates = []string{"61m"} }},
		{"rates", func(t *Class) { t.Rates = []string{"1s", "60s", "1m"} }},
		{"rates", func(t *Class) { t.Rates = []string{"1"} }},
		{"snapshot", func(t *Class) { t.Snapshot = "disk" }},
		{"snapshot", func(t *Class) { t.Snapshot = "jetstream" }},
		{"stream", func(t *Class) { t.Stream = "PX" }},
		{"domain", func(t *Class) { t.Domain = "hub" }},
		{"history", func(t *Class) { t.History = 1_000_001 }},
		{"history_ttl", func(t *Class) { t.HistoryTTL = -1 }},
		{"stale_after", func(t *Class) { t.StaleAfter = 99 * time.Millisecond }},
		{"delay", func(t *Class) { t.Delay, t.Subscribe = 25*time.Hour, "always" }},
		{"delay", func(t *Class) { t.Delay = -time.Second }},
		{"payload", func(t *Class) { t.Payload = "JSON" }},
		{"subscribe", func(t *Class) { t.Subscribe = "never" }},
		{"subscribe", func(t *Class) { t.Delay = time.Second }},
	} {
		c := defaults()
		c.Classes = []Class{defaultClass("orders.>"), defaultClass("px.*")}
		tt.change(&c.Classes[1])
		problems := message.Split(c.validate())
		if len(problems) != 1 {
			t.Errorf("%s: want one problem, got %q", tt.key, problems)
			continue
		}
		var k *keyError
		if !errors.As(problems[0], &k) || k.key != "topic.2."+tt.key || k.class != className(1, c.Classes[1].Match) {
			t.Errorf("%s: got %v", tt.key, problems[0])
		}
	}
}

func TestValidateTopicAccepts(t *testing.T) {
	c := defaults()
	c.NATS.JetStream, c.NATS.Embedded.StoreDir = true, "not-there-yet"
	c.Classes = []Class{
		{Match: "delayed.px.*", Subject: "px.$1", Mode: "last", Snapshot: "memory", Delay: 24 * time.Hour, Payload: "json",
			Subscribe: "always"},
		{Match: "orders.>", Mode: "all", Snapshot: "none", History: 1_000_000, HistoryTTL: time.Hour, Payload: "binary",
			Subscribe: "demand"},
		{Match: "px.*", Mode: "last", Rates: []string{"10ms", "1s", "1h"}, Snapshot: "jetstream", Stream: "PX", Domain: "hub",
			StaleAfter: 100 * time.Millisecond, Payload: "text", Subscribe: "always"},
		{Match: "free.>", Subject: ">", Mode: "last", Snapshot: "memory", Payload: "json", Subscribe: "demand"},
		defaultClass(">"),
	}
	if err := c.validate(); err != nil {
		t.Error(err)
	}
}

func TestCheckSubject(t *testing.T) {
	for _, tt := range []struct {
		match, subject string
		problem        string // a part of the error; "" = none
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
