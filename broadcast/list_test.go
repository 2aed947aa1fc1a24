package broadcast

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
)

// Answers come in pages of a bounded size, each with the command's id, and all but the last with "more". A page of a list is
// made when the socket has taken the one before.
func TestAnswersComeInPages(t *testing.T) {
	const topics = 1000
	h, s, out := hubOf(Config{Publish: nil})
	var names []string
	for i := range topics {
		names = append(names, fmt.Sprintf("%s.%d", strings.Repeat("x", 200), i))
	}
	pages := func(id string) (n, listed int) {
		t.Helper()
		for i, f := range out.got[0] {
			b, err := wiretest.PayloadOf(f)
			var ack struct {
				ID     json.RawMessage
				More   bool
				Topics []wire.AckTopic
				Errors []wire.AckError
			}
			if json.Unmarshal(b, &ack); err != nil || string(ack.ID) != id || len(b) > wire.PageBytes+1024 {
				t.Errorf("page %d has id %s and %d bytes: %v", i, ack.ID, len(b), err)
			}
			if last := i == len(out.got[0])-1; ack.More == last && out.room[0] > 0 {
				t.Errorf("page %d: more is %v", i, ack.More)
			}
			n, listed = n+1, listed+len(ack.Topics)+len(ack.Errors)
		}
		out.got[0] = nil
		return n, listed
	}
	out.room[0] = 1 << 20
	s.Apply(0, fmt.Appendf(nil, `{"op":"sub","id":1,"topics":["%s"]}`, strings.Join(append(names, "a..b"), `","`)))
	drainAll(s)
	if n, listed := pages("1"); n < 10 || listed != topics+1 {
		t.Errorf("sub: %d topics on %d pages", listed, n)
	}
	out.room[0] = 0
	s.Apply(0, []byte(`{"op":"list","id":2}`))
	if n, _ := pages("2"); n != 1 {
		t.Errorf("list: %d pages without room", n)
	}
	out.room[0] = 1 << 20
	s.Apply(0, []byte(`{"op":"list","id":3}`))
	if got := out.takeTold(t, 0); len(got) != 1 || got[0].Code != wire.CodeTooMany {
		t.Errorf("a second list: %+v", got)
	}
	s.Writable(0)
	if n, listed := pages("2"); n < 9 || listed == 0 || len(s.listings) != 0 {
		t.Errorf("list: %d topics on %d pages; %d listings are left", listed, n, len(s.listings))
	}
	out.room[0] = 0
	s.Apply(0, []byte(`{"op":"list","id":4}`))
	if s.Leave(0); len(s.listings) != 0 {
		t.Error("a listing outlives its client")
	}
	checkShards(t, h)
}

// The answer to a token that covers none of many subscriptions comes in pages, each when the socket has taken the one before.
func TestAnswerToATokenComesInPages(t *testing.T) {
	h, s, out := hubOf(Config{})
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("%s.%d", strings.Repeat("x", 200), i))
	}
	out.room[0] = 1 << 20
	s.Subscribe(0, names, "", "")
	drainAll(s)
	out.got[0] = nil
	out.room[0] = 0
	s.cfg.Subscribe = nil
	s.Granted(0, []byte("7"), new(auth.Grant))
	if n := len(out.got[0]); n != 1 || !s.Busy(0) {
		t.Errorf("%d pages without room, busy %v", n, s.Busy(0))
	}
	out.room[0] = 1 << 20
	s.Writable(0)
	ended := 0
	for i, f := range out.got[0] {
		if b, err := wiretest.PayloadOf(f); err != nil || len(b) > wire.PageBytes+1024 {
			t.Errorf("page %d has %d bytes: %v", i, len(b), err)
		}
	}
	for _, m := range out.takeTold(t, 0) {
		ended += len(m.Errors)
	}
	if sub := s.subs.At(0); ended != len(names) || sub.n != 0 || sub.backlog != nil || s.Busy(0) {
		t.Errorf("%d subscriptions are named, %d are left", ended, sub.n)
	}
	checkShards(t, h)
}
