package broadcast

import (
	"strings"
	"testing"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// The events of a message are built once for all clients, and so are the cursors behind them: more clients cost no allocation.
func TestNothingIsAllocatedPerEvent(t *testing.T) {
	for _, name := range []string{"px.A", "ord.A"} { // with cursors in blocks, and in the events
		allocs := func(subscribers int) float64 {
			cfg := openConfig()
			cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll}}
			h := New(cfg)
			s := h.Shard(0)
			out := newRecorder(s)
			s.out = nullOutlet{out}
			for slot := range uint32(subscribers) {
				s.Join(slot, wire.CodecEvents, 0)
				s.Subscribe(slot, []string{name}, "", "")
			}
			drainAll(s)
			return testing.AllocsPerRun(50, func() {
				h.Publish(name, []byte(`{"b":1}`))
				drainAll(s)
			})
		}
		// The first of several copies the events and their cursors for the others.
		if two, thousand := allocs(2), allocs(1000); thousand > two {
			t.Errorf("%s: %v allocations for a message to 2 clients, %v to 1,000", name, two, thousand)
		}
	}
}

// eventsTo returns what slot was sent since the last call, as the text of events.
func (r *recorder) eventsTo(slot uint32) string {
	var b []byte
	for _, chunk := range r.got[slot] {
		b = wire.AppendUnchunked(b, chunk)
	}
	r.got[slot] = nil
	return string(b)
}

// chunkRecorder keeps whole writes: they are chunks.
type chunkRecorder struct{ *recorder }

func (r chunkRecorder) Write(slot uint32, chunks []byte, _ int) (int, bool) {
	taken := 0
	for taken < len(chunks) {
		size := wire.ChunkSize(chunks[taken:])
		r.got[slot] = append(r.got[slot], append([]byte(nil), chunks[taken:taken+size]...))
		taken += size
		if room, limited := r.room[slot]; limited {
			if r.room[slot] = room - 1; room <= 0 {
				return taken, false
			}
		}
	}
	return taken, true
}

// The cursor of a write is the place behind it, though the shard has come further: in a batch that does not go out whole, and in a
// backlog.
func TestCursorsAreBehindTheirWrite(t *testing.T) {
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 100}}
	cfg.Epoch = func() string { return "e" }
	h := New(cfg)
	s := h.Shard(0)
	out := newRecorder(s)
	s.out = chunkRecorder{out}
	s.Join(0, wire.CodecEvents, 0)
	s.Subscribe(0, []string{"ord.A", "px.*"}, "", "")
	drainAll(s)
	if got := out.eventsTo(0); !strings.HasSuffix(got, "\n\nid: e:0\n\n") {
		t.Fatalf("%q", got)
	}
	h.Publish("ord.A", []byte("1"))
	h.Publish("px.A", []byte("2"))
	h.Publish("ord.A", []byte("3"))
	drainAll(s)
	if got := out.eventsTo(0); strings.Count(got, "data:") != 3 || !strings.HasSuffix(got, "\n\nid: e:3\n\n") || strings.Count(got, "id:") != 1 {
		t.Fatalf("%q", got)
	}
	out.room[0] = 0 // takes one event of the next write
	h.Publish("ord.A", []byte("4"))
	h.Publish("ord.A", []byte("5"))
	h.Publish("px.A", []byte("6"))
	drainAll(s)
	h.Publish("ord.A", []byte("7"))
	drainAll(s)
	if got := out.eventsTo(0); strings.Contains(got, "id:") || !strings.Contains(got, `"d":4`) || strings.Count(got, "data:") != 1 {
		t.Fatalf("%q", got)
	}
	out.room[0] = 1 // two of the backlog: not its cursor
	s.Writable(0)
	if got := out.eventsTo(0); strings.Count(got, "data:") != 2 || strings.Contains(got, "id:") {
		t.Fatalf("%q", got)
	}
	delete(out.room, 0)
	h.Publish("ord.A", []byte("8"))
	drainAll(s)
	s.Writable(0)
	got := out.eventsTo(0)
	if first, _, _ := strings.Cut(got, "id: "); !strings.Contains(got, "id: e:8\n\n") || !strings.Contains(first, `"d":8`) {
		t.Fatalf("%q", got)
	}
	if !strings.HasSuffix(strings.Split(got, `data: {"op":"lag"`)[0], "id: e:8\n\n") {
		t.Errorf("%q", got)
	}
}
