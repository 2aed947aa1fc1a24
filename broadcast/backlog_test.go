package broadcast

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/broadcast/wire"
)

// fill returns a shard whose slot 0 is a client that is behind, with n topics of size bytes owed to it.
func fill(t *testing.T, n, size int) (*Shards, *Shard, *recorder) {
	t.Helper()
	h := New(openConfig())
	s := h.Shard(0)
	out := newRecorder(s)
	s.Join(0, wire.CodecJSON, 0)
	s.Subscribe(0, []string{"px.>"}, "", "")
	out.room[0] = 0
	h.Publish("px.first", []byte("0")) // its socket takes this one and no more
	drainAll(s)
	for i := range n {
		h.Publish(fmt.Sprintf("px.%03d", i), []byte(`"`+strings.Repeat("x", size)+`"`))
	}
	drainAll(s)
	if n := len(out.takeShort(t, 0)); n != 2 { // the answer to sub, and the first message
		t.Fatalf("%d frames were written to a client with a full socket", n-2)
	}
	return h, s, out
}

func TestWritableSendsWhatIsOwedInOrder(t *testing.T) {
	_, s, out := fill(t, 100, 10)
	delete(out.room, 0)
	if !s.Writable(0) {
		t.Fatal("the client is still behind")
	}
	got := out.takeShort(t, 0)
	if len(got) != 100 || !slices.IsSorted(got) || strings.Contains(got[0], "snap") {
		t.Errorf("got %v", got)
	}
	if !s.Writable(0) || len(out.got[0]) > 0 {
		t.Error("a client that is not behind was sent something")
	}
}

// A backlog goes out in pieces of about flushBytes: a socket that is full again stops it.
func TestWritableStopsAtAFullSocket(t *testing.T) {
	h, s, out := fill(t, 100, 1000)
	var all []string
	for rounds := 0; ; rounds++ {
		out.room[0] = 0
		done := s.Writable(0)
		got := out.takeShort(t, 0)
		if len(got) > flushBytes/1000+1 {
			t.Fatalf("%d messages of 1,000 bytes were given to a full socket at once", len(got))
		}
		if done != (len(got) == 0) {
			t.Fatalf("done: %v, after a full socket was given %v", done, got)
		}
		if done {
			break
		}
		all = append(all, got...)
		if rounds == 0 { // newer than a message that is still owed, and than one that was sent
			h.Publish("px.099", []byte("7"))
			h.Publish("px.000", []byte("8"))
			drainAll(s)
		}
	}
	// The conflated message is told in the end.
	if len(all) != 102 || all[99][:6] != "px.099" || !strings.HasSuffix(all[99], "=7") || !strings.HasSuffix(all[100], "=8") || all[101] != "lag 1" {
		t.Errorf("got %d messages, at last %s", len(all), all[len(all)-3:])
	}
	if n := h.Stats().Conflated; n != 1 {
		t.Errorf("%d conflated messages are counted", n)
	}
}

func TestConflatedIsCountedForClientsThatNeverRead(t *testing.T) {
	h, s, _ := fill(t, 1, 10)
	for range 10 {
		h.Publish("px.000", []byte("1"))
	}
	drainAll(s)
	s.Leave(0)
	if n := h.Stats().Conflated; n != 10 {
		t.Errorf("%d conflated messages are counted, want 10", n)
	}
}

// A topic that is owed already is owed once, however many filters ask for it.
func TestSubscribingAgainOwesNothingMore(t *testing.T) {
	_, s, out := fill(t, 1, 1)
	s.Subscribe(0, []string{"px.000", "px.*"}, "", "")
	delete(out.room, 0)
	s.Writable(0)
	if got := out.takeShort(t, 0); !slices.Equal(got, []string{"ack", "px.first 1=0 snap", `px.000 2="x"`}) &&
		!slices.Equal(got, []string{"ack", `px.000 2="x"`, "px.first 1=0 snap"}) {
		t.Errorf("got %v", got)
	}
}

// A client that subscribes in the middle of a fan-out gets its message as the snapshot, once, and misses no message.
func TestSubscribingDuringAFanout(t *testing.T) {
	for _, filter := range []string{"px.A", "px.*"} {
		h, s, out := crowd(1000)
		s.Join(1000, wire.CodecJSON, 0)
		s.Subscribe(1000, []string{"px.>"}, "", "")
		out.takeShort(t, 1000)
		h.Publish("px.A", []byte("1"))
		if !s.Drain(0) {
			t.Fatal("the fan-out is over")
		}
		s.Subscribe(1000, []string{filter}, "", "")
		drainAll(s)
		if got := out.takeShort(t, 1000); !slices.Equal(got, []string{"ack", "px.A 1=1 snap"}) {
			t.Errorf("%s: got %v", filter, got)
		}
	}
}

func TestConnectionBreaksWhileItCatchesUp(t *testing.T) {
	h, s, out := fill(t, 100, 1000)
	delete(out.room, 0)
	out.dead[0] = true
	if s.Writable(0) {
		t.Error("a client that is gone is up to date")
	}
	if s.joined != 0 || len(out.got[0]) != 0 {
		t.Errorf("%d clients have joined, %d frames were written", s.joined, len(out.got[0]))
	}
	checkShards(t, h)
}

// All subscribers get the same frame: none has bytes of its own.
func TestFramesAreShared(t *testing.T) {
	h, s, out := crowd(3)
	s.Join(3, wire.CodecJSON, 0)
	h.Publish("px.A", []byte("1"))
	drainAll(s)
	s.Subscribe(3, []string{"px.A"}, "", "")
	s.Join(4, wire.CodecJSON, 0)
	s.Subscribe(4, []string{"px.A"}, "", "")
	if &out.got[0][0][0] != &out.got[1][0][0] || &out.got[0][0][0] != &out.got[2][0][0] {
		t.Error("an update was framed more than once")
	}
	if &out.got[3][1][0] != &out.got[4][1][0] {
		t.Error("a snapshot was framed more than once")
	}
}
