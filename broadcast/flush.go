package broadcast

import (
	"tickcast/broadcast/wire"
)

// groupBytes is the number of bytes at which a group of writes ends. Chosen by us: an outlet that compresses them needs no look at the
// clock meanwhile.
const groupBytes = 8 << 10

// A writeGroup holds writes that are made at once; see GroupOutlet.
type writeGroup struct {
	writings [WritingsMost]Writing
	bundles  [WritingsMost]uint32 // of the writings
	n        int
	bytes    int
}

// add adds a write, and reports whether the group is full.
func (g *writeGroup) add(w Writing, bundle uint32) (full bool) {
	g.writings[g.n], g.bundles[g.n] = w, bundle
	g.n++
	g.bytes += len(w.Frames)
	return g.n == len(g.writings) || g.bytes >= groupBytes
}

// flush writes the messages that were gathered for the subscriber in slot.
func (s *Shard) flush(slot uint32) {
	w, bundle, _ := s.gathered(slot)
	if w.Count == 0 {
		return
	}
	if taken, ok := s.out.Write(slot, w.Frames, w.Count); !ok {
		s.oweRest(slot, bundle, taken)
	}
}

// flushTurns writes the messages of the subscribers whose turn it is: of a few at once, if these are small. Nothing else happens between
// the turns of a group and its writes.
func (s *Shard) flushTurns() {
	s.group.n, s.group.bytes = 0, 0 // a panic may have left some, whose slots may be others' by now
	turns := 0
	for ends := false; !ends && turns < WritingsMost && !s.batch.empty(); turns++ {
		slot := s.batch.nextTurn()
		if s.subs.At(slot).codec == wire.CodecPoll { // its next request may follow at once
			s.writeGroup()
		}
		if w, bundle, stable := s.gathered(slot); w.Count > 0 {
			ends = s.group.add(w, bundle) || !stable
		}
	}
	s.writeGroup()
	s.countSteps(turns - 1)
}

// writeGroup writes the group.
func (s *Shard) writeGroup() {
	g := &s.group
	writings := g.writings[:g.n]
	g.n, g.bytes = 0, 0
	if s.groups != nil && len(writings) > 1 {
		s.groups.WriteAll(writings)
	} else {
		for i := range writings {
			w := &writings[i]
			w.Taken, w.OK = s.out.Write(w.Slot, w.Frames, w.Count)
		}
	}
	for i := range writings {
		w := &writings[i]
		if w.Frames = nil; !w.OK {
			s.oweRest(w.Slot, g.bundles[i], w.Taken)
		}
	}
}

// gathered takes the messages that were gathered for the subscriber in slot from the batch, with a Count of 0 if there is nothing to write. The
// frames are good until the next call, and if they are stable until the batch is reset.
func (s *Shard) gathered(slot uint32) (w Writing, bundle uint32, stable bool) {
	sub := s.subs.At(slot)
	bundle = s.batch.remove(sub)
	if bundle == 0 { // it left, or was flushed before its turn
		return w, 0, true
	}
	w.Slot = slot
	switch sub.codec {
	case wire.CodecPoll:
		s.answerGathered(slot, sub, bundle)
		return w, 0, true
	case wire.CodecEvents:
		w.Frames, w.Count, stable = s.eventsOf(bundle, sub)
	default:
		w.Frames, w.Count, stable = s.batch.framesOf(bundle, sub, &s.framer)
	}
	if w.Count == 0 {
		return w, 0, true
	}
	s.delivered += uint64(w.Count)
	s.conflated += uint64(s.batch.skipped)
	if w.Count > 1 {
		s.coalesced += uint64(w.Count)
	}
	return w, bundle, stable
}

// oweRest adds the messages of a bundle after the first taken bytes, all of whole frames, to the backlog of the client in
// slot. Its socket took no more.
func (s *Shard) oweRest(slot, bundle uint32, taken int) {
	if !s.fallBehind(slot) {
		return
	}
	sub := s.subs.At(slot)
	for _, m := range s.batch.pathTo(bundle) {
		if taken -= len(s.framer.frameOf(m, sub, wire.FormUpdate)); taken >= 0 {
			continue
		}
		s.delivered--
		if s.owe(slot, sub, m); !sub.joined() {
			return
		}
	}
}
