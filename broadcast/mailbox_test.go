package broadcast

import (
	"slices"
	"strconv"
	"testing"
)

// mail makes messages of topics by name, with frames of a set length.
type mail map[string]*topic

func (ms mail) message(name string, seq uint64, size int) *Message {
	if ms[name] == nil {
		ms[name] = &topic{name: name, id: uint32(len(ms))}
	}
	return &Message{topic: ms[name], seq: seq, frame: make([]byte, size)}
}

// order writes messages as "A1 B2".
func order(list []*Message) (names []string) {
	for _, m := range list {
		if m == notice {
			names = append(names, "notice")
			continue
		}
		names = append(names, m.topic.name+strconv.FormatUint(m.seq, 10))
	}
	return names
}

func TestMailboxKeepsOrder(t *testing.T) {
	ms, b := mail{}, mailbox{maxMessages: 4, maxBytes: 1000}
	if !b.empty() {
		t.Error("a new mailbox is not empty")
	}
	b.post(ms.message("A", 1, 10))
	b.post(ms.message("B", 1, 10))
	b.post(notice)
	b.post(ms.message("A", 2, 10))
	b.post(notice) // one is there
	if b.empty() || b.bytes != 30 {
		t.Errorf("empty = %v, bytes = %d; want false, 30", b.empty(), b.bytes)
	}
	got, replaced := b.take(nil)
	if want := []string{"A1", "B1", "notice", "A2"}; !slices.Equal(order(got), want) || replaced != 0 {
		t.Errorf("got %v, %d replaced; want %v, 0", order(got), replaced, want)
	}
	if got, _ := b.take(got[:0]); len(got) != 0 || b.bytes != 0 || !b.empty() {
		t.Errorf("taken twice: %v", order(got))
	}
	b.post(notice) // the last one is taken: another may come
	if got, _ := b.take(nil); len(got) != 1 {
		t.Errorf("got %v, want a notice", order(got))
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
			ms, b := mail{}, mailbox{maxMessages: c.messages, maxBytes: c.bytes}
			for seq := range uint64(10) {
				b.post(ms.message("A", seq, 10))
			}
			if len(b.queue) != c.queued || len(b.newest) != 1 {
				t.Errorf("%d are queued and %d topics overflow, want %d and 1", len(b.queue), len(b.newest), c.queued)
			}
			b.post(notice) // never lost
			got, replaced := b.take(nil)
			if len(got) != c.queued+2 || got[len(got)-1].seq != 9 {
				t.Errorf("got %v, want %d messages, a notice and the newest", order(got), c.queued)
			}
			if want := uint64(10 - c.queued); b.overflows() != want || replaced != want-1 {
				t.Errorf("overflows = %d, replaced = %d; want %d, %d", b.overflows(), replaced, want, want-1)
			}
			b.post(ms.message("A", 10, 10))
			if _, replaced := b.take(nil); replaced != 0 || b.overflows() != uint64(10-c.queued) {
				t.Error("counts of the last overflow come again")
			}
		})
	}
}

func TestMailboxTakesOneLargeMessage(t *testing.T) {
	ms, b := mail{}, mailbox{maxMessages: 3, maxBytes: 100}
	b.post(ms.message("A", 1, 1000)) // beyond the bound by itself, but the newest of its topic
	if got, _ := b.take(nil); !slices.Equal(order(got), []string{"A1"}) {
		t.Errorf("got %v", order(got))
	}
}

// What comes after an overflow must not overtake it, not even when it would fit.
func TestMailboxOverflowKeepsTopicsInOrder(t *testing.T) {
	ms, b := mail{}, mailbox{maxMessages: 100, maxBytes: 25}
	b.post(ms.message("A", 1, 10))
	b.post(ms.message("B", 1, 10))
	b.post(ms.message("A", 2, 10)) // does not fit
	b.post(ms.message("A", 3, 1))  // would fit
	b.post(ms.message("B", 2, 1))
	b.post(ms.message("B", 3, 1))
	b.post(ms.message("C", 1, 1))
	got, replaced := b.take(nil)
	overflow := order(got[2:])
	slices.Sort(overflow)
	if !slices.Equal(order(got[:2]), []string{"A1", "B1"}) || !slices.Equal(overflow, []string{"A3", "B3", "C1"}) {
		t.Errorf("got %v", order(got))
	}
	if replaced != 2 || b.overflows() != 5 {
		t.Errorf("replaced = %d, overflows = %d; want 2, 5", replaced, b.overflows())
	}
}
