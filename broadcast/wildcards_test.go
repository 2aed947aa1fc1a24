package broadcast

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a pattern costs grows with the topics that it matches, so all of that is bounded.
func TestWildcardLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := openConfig()
		cfg.MaxTopicsPerConnection = 100
		cfg.MaxWildcards, cfg.MaxMatches, cfg.MatchesPerSecond = 3, 50, 20
		h := NewHub(cfg)
		s := h.Shard(0)
		out := newRecorder(s)
		for slot := range uint32(4) {
			s.Join(slot, CodecJSON, 0)
		}
		for i := range 20 {
			s.Subscribe(3, []string{fmt.Sprintf("a.b.%d", i)}, "", "")
		}
		subscribe := func(slot uint32, pattern, want string) {
			t.Helper()
			out.got[slot] = nil
			s.Subscribe(slot, []string{pattern}, "", "")
			got, err := payloadOf(out.got[slot][0])
			if err != nil || !strings.Contains(string(got), want) {
				t.Errorf("%s: %s, want %s", pattern, got, want)
			}
			checkShard(t, s)
		}
		subscribe(0, "a.>", `"mode":"last"`) // 20 topics: as many as may be in a second
		subscribe(0, "a.*.*", `"code":111`)
		time.Sleep(time.Second)
		subscribe(0, "a.*.*", `"mode":"last"`)
		time.Sleep(time.Second)
		subscribe(1, "*.b.*", `"mode":"last"`) // 60 pairs: the limit was not reached before
		time.Sleep(time.Second)
		subscribe(1, ">", `"code":106`)
		subscribe(1, "a.>", `"mode":"last"`) // is there already: costs nothing
		s.Leave(0)
		time.Sleep(time.Second)
		subscribe(1, "*.>", `"mode":"last"`) // there is room again
		time.Sleep(time.Second)
		subscribe(1, "x.*", `"code":106`) // three wildcards on this connection
		s.Leave(1)
		s.Leave(3)
		if s.matches != 0 {
			t.Errorf("%d matches are left", s.matches)
		}
	})
}

func TestTopicTokens(t *testing.T) {
	for n, want := range map[int]error{16: nil, 17: errTopicTokens} {
		if err := CheckTopic(strings.Repeat("a.", n-1)+"a", 255, 16); err != want {
			t.Errorf("%d tokens: %v", n, err)
		}
	}
	h := NewHub(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, CodecJSON, 0)
	s.Subscribe(0, []string{">"}, "", "")
	out.take(t, 0)
	for _, subject := range []string{strings.Repeat("a.", 99) + "a", "px.\xff", "px." + strings.Repeat("x", 300)} {
		h.Publish(subject, []byte("1"))
	}
	drainAll(s)
	if got := out.take(t, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if st := h.Stats(); st.UpstreamInvalid != 3 || st.Topics != 0 {
		t.Errorf("%d invalid, %d topics", st.UpstreamInvalid, st.Topics)
	}
}
