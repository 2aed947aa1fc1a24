package broadcast

import (
	"sync/atomic"
	"testing"

	"tickcast/broadcast/wire/wiretest"
	"tickcast/wsproto"
)

type told = wiretest.Told

// A recorder is an Outlet that keeps the frames that it is given, by slot.
type recorder struct {
	shard *Shard
	got   map[uint32][][]byte
	room  map[uint32]int  // frames that the socket still takes at once; absent = all
	dead  map[uint32]bool // the connection ends at the next write
	wakes atomic.Int64    // an alarm wakes on a goroutine of its own
}

// newRecorder attaches a recorder to s, whose loop is the calling test.
func newRecorder(s *Shard) *recorder {
	r := &recorder{shard: s, got: make(map[uint32][][]byte), room: make(map[uint32]int), dead: make(map[uint32]bool)}
	s.Attach(r, func() { r.wakes.Add(1) })
	return r
}

func (r *recorder) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	if r.dead[slot] {
		delete(r.dead, slot)
		r.shard.Leave(slot)
		return 0, false
	}
	for _, frame := range wiretest.SplitFrames(frames) {
		r.got[slot] = append(r.got[slot], frame)
		taken += len(frame)
		if room, limited := r.room[slot]; limited {
			if r.room[slot] = room - 1; room <= 0 {
				return taken, false
			}
		}
	}
	return taken, true
}

func (r *recorder) Close(slot uint32, code wsproto.StatusCode, reason string) {
	r.got[slot] = append(r.got[slot], wsproto.AppendClose(nil, code, reason))
	r.shard.Leave(slot)
}

// takeShort returns the messages of slot since the last call, in short.
func (r *recorder) takeShort(t *testing.T, slot uint32) []string {
	t.Helper()
	var list []string
	for _, m := range r.takeTold(t, slot) {
		list = append(list, m.Short())
	}
	return list
}

// takeTold returns the messages of slot since the last call.
func (r *recorder) takeTold(t *testing.T, slot uint32) []told {
	t.Helper()
	var list []told
	for _, f := range r.got[slot] {
		m, err := wiretest.ParseTold(f)
		if err != nil {
			t.Fatalf("slot %d was sent %q: %v", slot, f, err)
		}
		list = append(list, m)
	}
	r.got[slot] = nil
	return list
}
