package broadcast

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/broadcast/topics"
)

// The newest messages have a bound in bytes. Those heard longest ago go first, in the shards too, and a new subscriber is told so
// in place of the snapshot.
func TestNewestMessagesHaveABound(t *testing.T) {
	const size, most = 10_000, 100_000
	h, s, out := hubOf(Config{Config: topics.Config{NewestBytes: most}})
	s.Subscribe(0, []string{">"}, "", "")
	payload := []byte(`"` + strings.Repeat("x", size) + `"`)
	for i := range 50 {
		h.Publish(fmt.Sprintf("t.%d", i), payload)
		h.Publish("t.0", []byte("0")) // heard again and again
		drainAll(s)
	}
	st := h.Stats()
	if st.NewestBytes > most || st.NewestBytes < most/2 || st.Dropped < 40 {
		t.Errorf("%d bytes are kept, %d messages were dropped", st.NewestBytes, st.Dropped)
	}
	kept := 0
	for _, entry := range s.filters.byID {
		if entry != nil && entry.newest != nil {
			kept++
		}
	}
	if kept > most/size+1 {
		t.Errorf("the shard keeps %d newest messages", kept)
	}
	out.got[1] = nil
	s.Subscribe(1, []string{"t.0", "t.1", "t.49"}, "", "")
	drainAll(s)
	var got []string
	for _, m := range out.takeTold(t, 1) {
		got = append(got, fmt.Sprintf("%s%s %s %.30s", m.Op, m.T, m.K, m.Why))
	}
	want := []string{"ack  ", "t.0 snap ", "t.49 snap ", "stale  the newest message was dropped"}
	if slices.Sort(got); len(got) != 4 || !strings.HasPrefix(got[1], "stale  the newest message was") {
		t.Errorf("got %q, want %q", got, want)
	}
	out.got[0] = nil
	h.Publish("t.1", []byte("1"))
	drainAll(s)
	if got := out.takeShort(t, 1); len(got) != 2 {
		t.Errorf("got %q, want fresh and the message", got)
	}
	checkShards(t, h)
}
