package broadcast

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// The cost of a pattern grows with the topics that it matches, so both are bounded.
func TestWildcardLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := openConfig()
		cfg.MaxTopicsPerConnection = 100
		cfg.MaxWildcards, cfg.MaxMatches, cfg.MatchesPerSecond = 3, 60, 20
		h := New(cfg)
		s := h.Shard(0)
		out := newRecorder(s)
		for slot := range uint32(4) {
			s.Join(slot, wire.CodecJSON, 0)
		}
		for i := range 20 {
			s.Subscribe(3, []string{fmt.Sprintf("a.b.%d", i)}, "", "")
		}
		subscribe := func(slot uint32, pattern, want string) {
			t.Helper()
			out.got[slot] = nil
			s.Subscribe(slot, []string{pattern}, "", "")
			got, err := wiretest.PayloadOf(out.got[slot][0])
			if err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s: %s, want %s", pattern, got, want)
			}
			checkShards(t, h)
		}
		subscribe(0, "a.>", `"mode":"last"`) // 20 topics: as many as may be in a second
		subscribe(0, "a.*.*", `"code":111`)
		time.Sleep(time.Second)
		subscribe(0, "a.*.*", `"mode":"last"`)
		time.Sleep(time.Second)
		subscribe(1, "*.b.*", `"mode":"last"`) // 60 pairs: not one more than the limit
		time.Sleep(time.Second)
		subscribe(1, ">", `"code":106`)
		subscribe(1, "a.>", `"mode":"last"`) // is there already: makes no pair, but costs its topics
		subscribe(2, "a.>", `"code":111`)
		s.Leave(0)
		time.Sleep(time.Second)
		subscribe(1, "*.>", `"mode":"last"`) // there is room again
		time.Sleep(time.Second)
		subscribe(1, "x.*", `"code":106`) // three wildcards on this connection
		s.Leave(1)
		s.Leave(3)
		if s.filters.matches != 0 {
			t.Errorf("%d matches are left", s.filters.matches)
		}
	})
}

func TestTopicTokens(t *testing.T) {
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{">"}, "", "")
	out.takeShort(t, 0)
	for _, subject := range []string{strings.Repeat("a.", 99) + "a", "px.\xff", "px." + strings.Repeat("x", 300)} {
		h.Publish(subject, []byte("1"))
	}
	drainAll(s)
	if got := out.takeShort(t, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.UpstreamInvalid != 3 || st.Topics != 0 {
		t.Errorf("%d invalid, %d topics", st.UpstreamInvalid, st.Topics)
	}
}

// A new topic that finds no room for its pairs is not sent to patterns, and its messages are counted.
func TestUnmatchedTopicsAreCounted(t *testing.T) {
	cfg := openConfig()
	cfg.MaxMatches = 1
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"a.*"}, "", "")
	out.takeShort(t, 0)
	for _, topic := range []string{"a.1", "a.2", "a.1", "a.2"} {
		h.Publish(topic, []byte("1"))
	}
	drainAll(s)
	if got := out.takeShort(t, 0); len(got) == 0 || len(got) > 2 || h.Stats().Unmatched != 2 {
		t.Errorf("got %v, %d messages are counted", got, h.Stats().Unmatched)
	}
	checkShards(t, h)
}
