package broadcast

import (
	"tickcast/broadcast/wire"
)

// flush writes the messages that were gathered for the subscriber in slot.
func (s *Shard) flush(slot uint32) {
	sub := s.subs.At(slot)
	bundle := s.batch.remove(sub)
	if bundle == 0 { // it left, or was flushed before its turn
		return
	}
	var frames []byte
	var n int
	switch sub.codec {
	case wire.CodecPoll:
		s.answerGathered(slot, sub, bundle)
		return
	case wire.CodecEvents:
		frames, n = s.eventsOf(bundle, sub)
	default:
		frames, n = s.batch.framesOf(bundle, sub, &s.framer)
	}
	if n == 0 {
		return
	}
	s.delivered += uint64(n)
	s.conflated += uint64(s.batch.skipped)
	if n > 1 {
		s.coalesced += uint64(n)
	}
	if taken, ok := s.out.Write(slot, frames, n); !ok {
		s.oweRest(slot, bundle, taken)
	}
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
