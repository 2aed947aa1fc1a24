package topics

import (
	"fmt"
	"strings"
	"testing"
)

// starred returns n different patterns that all match "a.a.a....x", with 14 tokens before the last.
func starred(n int) (list []string) {
	for k := range n {
		b := []byte(strings.Repeat("a.", 14))
		for bit := range 14 {
			if k>>bit&1 == 1 {
				b[2*bit] = '*'
			}
		}
		list = append(list, string(b)+">")
	}
	return list
}

// The end of patterns visits the topics under one pattern, or all topics once, and not all topics for each pattern.
func TestEndOfPatternsCostsTheirTopics(t *testing.T) {
	for _, row := range []struct{ patterns, topics int }{{1, 1}, {1, 100}, {1, 10_000}, {100, 100}, {10, 10_000}, {10_000, 1}, {10_000, 10}} {
		h, up := New(Config{}), new(listUpstream)
		patterns := starred(row.patterns)
		for _, p := range patterns {
			raise(t, h, p)
		}
		for i := range row.topics {
			h.Publish(fmt.Sprintf("%s%d", strings.Repeat("a.", 14), i), []byte("1"))
		}
		h.steps = 0
		for _, p := range patterns {
			h.Lower(0, p)
		}
		_, idle := h.takeChanged()
		for _, l := range idle {
			h.expire(t.Context(), l, up)
		}
		h.removeLeft()
		if n, most := int(h.steps), min(row.patterns, sweepPatterns)*row.topics; n > most || len(h.topics) > 0 {
			t.Errorf("%d patterns over %d topics: %d steps, want at most %d; %d topics are left", row.patterns, row.topics, n, most, len(h.topics))
		}
	}
}

// A name on which nothing was ever published ends with its last subscriber, whatever patterns match it.
func TestUnheardTopicsEndUnderAPattern(t *testing.T) {
	h, up := New(Config{}), new(listUpstream)
	raise(t, h, ">")
	for _, name := range []string{"a", "b"} {
		raise(t, h, name)
	}
	h.Publish("b", []byte("1"))
	for _, name := range []string{"a", "b"} {
		h.Lower(0, name)
	}
	_, idle := h.takeChanged()
	for _, l := range idle {
		h.expire(t.Context(), l, up)
	}
	if len(h.topics) != 1 || h.topics["b"] == nil {
		t.Errorf("%d topics are left, want b alone", len(h.topics))
	}
}

// The end of a subscription at upstream visits the topics that it brought, and not those of other subscriptions that end.
func TestEndOfSubscriptionsCostsTheirTopics(t *testing.T) {
	all := func(string) bool { return true }
	for _, n := range []int{1, 100, 10_000} {
		h, up := New(Config{}), new(listUpstream)
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("a.%d", i))
		}
		for _, name := range append(names, "a.>", "b.*") { // the subscriptions to single topics are the first, and so the owners
			raise(t, h, name)
			lookOnce(t, h, up)
		}
		h.Publish("b.x", []byte("1"))
		for _, name := range names {
			h.Publish(name, []byte("1"))
			h.Lower(0, name)
		}
		h.Lower(0, "b.*")
		h.reconcile(t.Context(), up, new(reconciler))
		for _, name := range names {
			h.Deliver(name, []byte("2"), name)
			h.Deliver(name, []byte("2"), "a.>")
		}
		if len(h.seams) != n {
			t.Fatalf("%d seams, want %d", len(h.seams), n)
		}
		h.steps = 0
		h.Ended("b.*", all)
		if h.steps > 1 {
			t.Errorf("%d topics: the end of another subscription takes %d steps", n, h.steps)
		}
		for _, name := range names {
			h.Ended(name, all)
		}
		if most := uint64(3*n + 1); h.steps > most || len(h.seams) > 0 {
			t.Errorf("%d topics: %d steps, want at most %d; %d seams are left", n, h.steps, most, len(h.seams))
		}
	}
}
