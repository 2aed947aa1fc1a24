package topics

import (
	"slices"
	"strconv"
	"testing"
)

// mail makes entries of topics by name, with frames of a set length. Topics with an upper-case name are lossless.
type mail struct {
	topics map[string]*Topic
	at     map[*Topic]*uint32
	b      Mailbox
}

func newMail(messages, bytes int) *mail {
	return &mail{make(map[string]*Topic), make(map[*Topic]*uint32), Mailbox{maxMessages: messages, maxBytes: bytes}}
}

func (ms *mail) topic(name string) *Topic {
	t := ms.topics[name]
	if t == nil {
		t = &Topic{Name: name, ID: uint32(len(ms.topics)), Class: &Class{}}
		if name < "a" {
			t.Class.Mode = ModeAll
		}
		ms.topics[name], ms.at[t] = t, new(uint32)
	}
	return t
}

func (ms *mail) post(name string, kind Kind, seq uint64, size int) {
	t := ms.topic(name)
	ms.b.post(&Message{Topic: t, Kind: kind, Seq: seq, frame: make([]byte, size)}, ms.at[t])
}

// update posts updates of a topic.
func (ms *mail) update(name string, seqs ...uint64) {
	for _, seq := range seqs {
		ms.post(name, KindData, seq, 10)
	}
}

// order writes messages as "A1 B2", with a mark of their kind.
func order(list []*Message) (names []string) {
	for _, m := range list {
		switch m.Kind {
		case KindUpstream:
			names = append(names, "upstream")
		case KindMark:
			names = append(names, "mark")
		default:
			sign := map[Kind]string{KindStale: "?", KindFresh: "!", KindGap: "-", KindRestart: "="}[m.Kind]
			names = append(names, m.Topic.Name+sign+strconv.FormatUint(m.Seq, 10))
		}
	}
	return names
}

// holds compares the content of the mailbox, which it takes: the queue, a bar and the overflow.
func (ms *mail) holds(t *testing.T, want ...string) Post {
	t.Helper()
	p := ms.b.Take(nil)
	got := order(p.Queue)
	if len(p.Overflow) > 0 {
		got = append(append(got, "|"), order(p.Overflow)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	return p
}

func TestMailboxKeepsOrder(t *testing.T) {
	ms := newMail(4, 1000)
	if !ms.b.Empty() {
		t.Error("a new mailbox is not empty")
	}
	ms.update("A", 1)
	ms.update("B", 1)
	ms.b.postUpstream()
	ms.update("A", 2)
	ms.b.postUpstream() // one is there
	if ms.b.Empty() || ms.b.bytes != 30 {
		t.Errorf("bytes = %d, want 30", ms.b.bytes)
	}
	if p := ms.holds(t, "A1", "B1", "upstream", "A2"); p.Replaced != 0 || p.Answers != nil {
		t.Errorf("%d replaced, answers %v", p.Replaced, p.Answers)
	}
	ms.holds(t)
	if ms.b.bytes != 0 || !ms.b.Empty() {
		t.Error("it is not empty when it was taken")
	}
	ms.b.postUpstream() // the last one is taken: another may come
	ms.holds(t, "upstream")
}

func TestMailboxTellsOfAnswersOnce(t *testing.T) {
	ms, w := newMail(4, 1000), NewWaiter(0)
	ms.b.scheduled.Store(true)
	ms.b.postAnswer(w)
	if ms.b.Idle() {
		t.Error("a mailbox with an answer is idle: nobody would wake")
	}
	if p := ms.holds(t); !slices.Equal(p.Answers, []*Waiter{w}) {
		t.Error("the answer is lost")
	}
	if p := ms.holds(t); p.Answers != nil || !ms.b.Idle() {
		t.Error("the answer comes twice")
	}
}

func TestMailboxBounds(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages int
		bytes    int
		queued   int // of the messages of 10 bytes
	}{
		{"messages", 3, 1000, 3},
		{"bytes", 1000, 39, 3},
		{"bytes to the last one", 1000, 40, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			ms := newMail(c.messages, c.bytes)
			ms.update("A", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
			ms.b.postUpstream() // never lost
			want := []string{"A1", "A2", "A3", "A4"}[:c.queued]
			p := ms.holds(t, append(want, "upstream", "|", "A10")...)
			if want := uint64(10 - c.queued); ms.b.Overflows() != want || p.Replaced != want-1 {
				t.Errorf("overflows = %d, replaced = %d; want %d, %d", ms.b.Overflows(), p.Replaced, want, want-1)
			}
			ms.update("A", 11)
			if p := ms.holds(t, "A11"); p.Replaced != 0 || ms.b.Overflows() != uint64(10-c.queued) {
				t.Error("counts of the last overflow come again")
			}
		})
	}
}

func TestMailboxTakesOneLargeMessage(t *testing.T) {
	ms := newMail(3, 100)
	ms.post("A", KindData, 1, 1000) // beyond the bound by itself, but the newest of its topic
	ms.holds(t, "|", "A1")
}

// A message after an overflow must not overtake it, not even when it would fit. The order over topics is that of the posts.
func TestMailboxOverflowKeepsOrder(t *testing.T) {
	ms := newMail(100, 25)
	ms.update("A", 1)
	ms.update("B", 2)
	ms.update("A", 3)             // does not fit
	ms.post("A", KindData, 4, 1)  // would fit
	ms.post("B", KindStale, 0, 1) // a notice keeps its place among them
	ms.post("B", KindData, 5, 1)
	ms.post("B", KindData, 6, 1)
	ms.post("A", KindData, 7, 1)
	ms.b.postMark(&Message{Kind: KindMark}) // behind all that was posted, or later
	ms.post("C", KindData, 8, 1)
	if p := ms.holds(t, "A1", "B2", "|", "B?0", "B6", "A7", "C8", "mark"); p.Replaced != 3 || ms.b.Overflows() != 7 {
		t.Errorf("replaced = %d, overflows = %d; want 3, 7", p.Replaced, ms.b.Overflows())
	}
	for seq := range uint64(1000) {
		ms.update("A", seq)
		ms.update("B", seq)
	}
	if n := len(ms.b.over.list); n > 200 {
		t.Errorf("the overflow of two topics takes %d places", n)
	}
	ms.holds(t, "A0", "B0", "|", "A999", "B999")
}

// A hole in front of a message that does not know the one before it is told, whatever is replaced.
func TestMailboxKeepsHoles(t *testing.T) {
	ms := newMail(0, 0)
	ms.update("A", 5)
	ms.post("A", KindGap, 6, 1)
	ms.holds(t, "|", "A5", "A-6")
	ms.post("A", KindGap, 6, 1)
	ms.update("A", 7)
	ms.post("A", KindGap, 8, 1) // the gap before 7 stays as long as 7
	ms.post("A", KindGap, 9, 1)
	ms.holds(t, "|", "A-6", "A7", "A-9")
	ms.post("A", KindGap, 6, 1)
	ms.update("A", 7)
	ms.post("A", KindGap, 8, 1)
	ms.update("A", 9)
	ms.holds(t, "|", "A-8", "A9")
	ms.post("A", KindGap, 6, 1)
	ms.update("A", 7, 8)
	ms.holds(t, "|", "A-6", "A8")
}

// A full mailbox keeps of a topic that began anew no message of the sequences before.
func TestMailboxKeepsRestart(t *testing.T) {
	ms := newMail(0, 0)
	ms.update("A", 900)
	ms.post("A", KindRestart, 0, 1)
	ms.post("A", KindGap, 0, 1)
	ms.holds(t, "|", "A=0")
	ms.update("A", 900)
	ms.post("A", KindGap, 901, 1)
	ms.post("A", KindRestart, 0, 1)
	ms.update("A", 1)
	ms.post("A", KindGap, 2, 1)
	ms.update("A", 3)
	ms.holds(t, "|", "A=0", "A3")
}

// Of a topic of ModeLast one update waits, at the place of the first: the newest is sent no later than the first would have
// been. That holds from some entries on; the bounds do not count them.
func TestMailboxConflates(t *testing.T) {
	const conflateAbove = 20
	ms := newMail(conflateAbove*2, 1<<20)
	ms.b.conflateAbove = conflateAbove
	for seq := range uint64(conflateAbove / 2) {
		ms.update("a", seq)
		ms.update("b", seq)
	}
	if p := ms.b.Take(nil); len(p.Queue) != conflateAbove || p.Replaced != 0 {
		t.Errorf("%d of a short burst, %d replaced", len(p.Queue), p.Replaced)
	}
	for i := range conflateAbove {
		ms.update(strconv.Itoa(i), 1) // other topics, lossless
	}
	ms.update("a", 100)
	ms.update("b", 101, 102)
	ms.update("a", 103)
	ms.post("a", KindStale, 0, 1)
	ms.update("b", 104)
	ms.update("A", 105)
	p := ms.b.Take(nil)
	if got := order(p.Queue[conflateAbove:]); !slices.Equal(got, []string{"a103", "b104", "a?0", "A105"}) || p.Replaced != 3 {
		t.Errorf("got %v, %d replaced", got, p.Replaced)
	}
	ms.update("a", 200) // its place is another one now
	ms.holds(t, "a200")

	ms = newMail(0, 0) // another life of a stream is no newer value of the same
	old := &Message{Topic: ms.topic("a"), Seq: 900}
	ms.b.post(old, ms.at[old.Topic])
	ms.b.post(&Message{Topic: old.Topic, Seq: 1, Gen: 1}, ms.at[old.Topic])
	ms.holds(t, "a900", "a1")
}
