package broadcast

import (
	"fmt"
	"slices"
	"testing"
)

// A groupRecorder is a recorder that gets several writes at once.
type groupRecorder struct {
	*recorder
	t      *testing.T
	groups [][]uint32 // slots
}

func (r *groupRecorder) WriteAll(writings []Writing) {
	var slots []uint32
	for i := range writings {
		w := &writings[i]
		if slices.Contains(slots, w.Slot) {
			r.t.Errorf("slot %d twice in a group", w.Slot)
		}
		slots = append(slots, w.Slot)
		w.Taken, w.OK = r.Write(w.Slot, w.Frames, w.Count)
	}
	r.groups = append(r.groups, slots)
}

// grouped returns a crowd whose writes come in groups.
func grouped(t *testing.T, subscribers int) (*Shards, *Shard, *groupRecorder) {
	h, s, out := crowd(subscribers)
	r := &groupRecorder{recorder: out, t: t}
	s.out, s.groups = r, r
	return h, s, r
}

// Small messages for many clients are written in groups of WritingsMost.
func TestWritesComeInGroups(t *testing.T) {
	const subscribers = 3*WritingsMost + 5
	h, s, out := grouped(t, subscribers)
	h.Publish("px.A", []byte("1"))
	drainAll(s)
	written := 0
	for _, slots := range out.groups {
		written += len(slots)
	}
	if len(out.groups) != 4 || written != subscribers {
		t.Errorf("groups %v", out.groups)
	}
	for slot := range uint32(subscribers) {
		if got := out.takeTold(t, slot); len(got) != 1 || got[0].S != 1 {
			t.Errorf("slot %d got %+v", slot, got)
		}
	}
}

// A group ends with the message that makes it larger than groupBytes, and with frames that are good until the next ones are made.
func TestGroupsEnd(t *testing.T) {
	const subscribers = 8
	t.Run("by their bytes", func(t *testing.T) {
		h, s, out := grouped(t, subscribers)
		h.Publish("px.A", fmt.Appendf(nil, `"%0*d"`, groupBytes/2, 1))
		drainAll(s)
		for _, slots := range out.groups {
			if len(slots) != 2 {
				t.Errorf("groups %v", out.groups)
			}
		}
	})
	t.Run("by frames of one client alone", func(t *testing.T) {
		h, s, out := grouped(t, subscribers)
		for slot := range uint32(subscribers) {
			s.Subscribe(slot, []string{fmt.Sprint("px.B", slot)}, "", "")
		}
		drainAll(s)
		for slot := range uint32(subscribers) {
			out.takeTold(t, slot)
		}
		h.Publish("px.A", []byte("1"))
		for slot := range uint32(subscribers) {
			h.Publish(fmt.Sprint("px.B", slot), fmt.Appendf(nil, "%d", slot))
		}
		drainAll(s)
		for slot := range uint32(subscribers) {
			got := out.takeTold(t, slot)
			if len(got) != 2 || got[0].T != "px.A" || got[1].T != fmt.Sprint("px.B", slot) || string(got[1].D) != fmt.Sprint(slot) {
				t.Errorf("slot %d got %+v", slot, got)
			}
		}
	})
}

// A socket that takes a part, and a client that is gone, in the midst of a group: the others get all, and the first one gets the rest later.
func TestGroupWithClientsThatFallBehind(t *testing.T) {
	const subscribers = 2 * WritingsMost
	h, s, out := grouped(t, subscribers)
	out.room = map[uint32]int{3: 0, 20: 0}
	out.dead = map[uint32]bool{5: true}
	for n := range 3 {
		h.Publish("px.A", fmt.Appendf(nil, "%d", n))
	}
	drainAll(s)
	out.room = nil
	for _, slot := range []uint32{3, 20} {
		s.Writable(slot)
	}
	drainAll(s)
	for slot := range uint32(subscribers) {
		got := slices.DeleteFunc(out.takeTold(t, slot), func(m told) bool { return m.Op == "lag" })
		switch {
		case slot == 5:
			if len(got) != 0 {
				t.Errorf("the client that is gone got %+v", got)
			}
		case len(got) == 0 || got[len(got)-1].S != 3 || (slot != 3 && slot != 20 && len(got) != 3):
			t.Errorf("slot %d got %+v", slot, got)
		}
	}
}
