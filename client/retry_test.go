package client

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	limits := []time.Duration{2, 4, 8, 16, 20, 20}
	for attempt, limit := range limits {
		var low, high time.Duration = time.Hour, 0
		for range 10_000 {
			d := backoff(attempt)
			low, high = min(low, d), max(high, d)
		}
		limit *= time.Second
		if low < 500*time.Millisecond || low > 700*time.Millisecond || high > limit || high < limit*9/10 {
			t.Errorf("attempt %d waits from %v to %v", attempt, low, high)
		}
	}
	if d := backoff(1 << 40); d > 20*time.Second {
		t.Errorf("a late attempt waits %v", d)
	}
}

func TestWaitsOfTheServer(t *testing.T) {
	for _, c := range []struct{ low, high, least, most time.Duration }{
		{2 * time.Second, 3 * time.Second, 2 * time.Second, 3 * time.Second},
		{time.Second, 0, time.Second, time.Second},
		{-time.Second, -1, 0, 0},
		{time.Hour, 2 * time.Hour, 10 * time.Minute, 10 * time.Minute},
	} {
		for range 100 {
			if d := between(c.low, c.high); d < c.least || d > c.most {
				t.Errorf("between %v and %v: %v", c.low, c.high, d)
			}
		}
	}
	for code, want := range map[int][2]bool{0: {}, 1000: {}, 1001: {true}, 1006: {}, 1008: {false, true}, 1012: {true}, 1013: {true}, 4001: {}, 4003: {},
		4499: {}, 4500: {false, true}, 4999: {false, true}, 401: {false, true}, 403: {false, true}, 429: {}, 503: {}} {
		_, isLeaving := leaving(code)
		if got := [2]bool{isLeaving, isFinal(code)}; got != want {
			t.Errorf("%d: leaving and final %v, want %v", code, got, want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a.b", false}, {"a.b", "a", false}, {"a.*", "a.b", true}, {"a.*", "a", false},
		{"*", "a", true}, {"*", "a.b", false}, {">", "a", true}, {">", "a.b.c", true}, {"a.>", "a", false}, {"a.>", "a.b.c", true},
		{"a.>", "b.c", false}, {"*.b", "a.b", true}, {"*", ">", false}, {">", ">", true}, {"a.*", "a.>", false}, {"a.*", "a.*", true}, {"a.>", "a.*", true},
	} {
		if Covers(c.pattern, c.topic) != c.want {
			t.Errorf("%s covers %s: %v", c.pattern, c.topic, !c.want)
		}
	}
}
