package broadcast

import (
	"bytes"
	"fmt"
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A pollRecorder is a recorder with clients that poll.
type pollRecorder struct {
	*recorder
	answers []PollAnswer
	waiting int
}

func (r *pollRecorder) Waits(uint32) { r.waiting++ }

func (r *pollRecorder) Answer(slot uint32, a *PollAnswer) {
	r.answers = append(r.answers, PollAnswer{Told: bytes.Clone(a.Told), Messages: bytes.Clone(a.Messages), Cursors: a.Cursors})
	r.shard.Leave(slot)
}

// A poll is told the gap of a topic that is new since its cursor. The next one, which has the same place, waits.
func TestPollIsToldTheGapOfANewTopicOnce(t *testing.T) {
	h, s, out := hubOf(Config{}, topics.Class{Match: "ord.>", Mode: topics.ModeAll, History: 5})
	r := &pollRecorder{recorder: out}
	s.Attach(r, func() {})
	s.Subscribe(0, []string{"ord.*"}, "", "")
	h.Publish("ord.A", []byte("1"))
	h.Lose("upstream", true, everything)
	h.Publish("ord.A", []byte("2"))
	drainAll(s)
	at := fmt.Sprint(epochOf(h), ":", s.places.at(0, &s.inbox).Seq)
	s.Subscribe(1, []string{"ord.B"}, "", "")
	drainAll(s)
	poll := func(after string) {
		s.Join(9, wire.CodecPoll, 0)
		s.Poll(9, &PollCommand{Topics: []string{"ord.*"}, After: after})
		drainAll(s)
	}
	poll(at)
	if len(r.answers) != 1 || bytes.Count(r.answers[0].Messages, []byte(`"gap"`)) != 1 {
		t.Fatalf("answered %+v", r.answers)
	}
	poll(r.answers[0].Cursors)
	if len(r.answers) != 1 || r.waiting != 1 {
		t.Errorf("the next poll is answered %s after %s", r.answers[len(r.answers)-1].Messages, r.answers[0].Cursors)
	}
}
