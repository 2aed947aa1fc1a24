package broadcast

import "slices"

// A batch holds what has been gathered for subscribers and not been written yet. A subscriber's messages are the path from
// the root to its bundle: subscribers that are owed the same messages share the same bundle, and the bytes made of it. A
// message to a million subscribers that keep up is one bundle.
type batch struct {
	bundles []bundle // the first is the root: nothing
	bytes   int      // of the messages in bundles
	ring    ring     // slots of subscribers with a bundle, in the order of their turns
	joined  joiner   // scratch: frames of one subscriber

	ends []batchEnd // messages that have been gathered, by where the ring's end was; the first from endsAt on are not written
	done int        // index into ends
}

// A bundle is a message behind those of its parent.
type bundle struct {
	m       *Message
	parent  uint32
	child   uint32 // the last bundle that was made behind this one; 0 = none
	holders uint32 // subscribers that it waits for
	size    uint32 // bytes of the whole path, as JSON
	frames  []bundleFrames
}

// bundleFrames are the frames of a bundle's whole path for subscribers of one kind.
type bundleFrames struct {
	codec Codec
	bits  uint8
	b     []byte
	n     int // how many frames
}

type batchEnd struct {
	m  *Message
	at uint64 // done once so many have been taken from the ring
}

const (
	batchBundles = 16384    // as many may be in a batch before the next message is gathered
	batchBytes   = 1 << 20  // and so many bytes of messages
	bundleBytes  = 64 << 10 // a subscriber's bundle that would be larger is written first
)

// A ring is a queue of slots.
type ring struct {
	slots []uint32 // a power of two of them
	head  uint64   // taken so far
	tail  uint64   // put in so far
}

func (r *ring) empty() bool { return r.head == r.tail }

func (r *ring) push(slot uint32) {
	if int(r.tail-r.head) == len(r.slots) {
		grown := make([]uint32, max(64, 2*len(r.slots)))
		for i := r.head; i < r.tail; i++ {
			grown[i&uint64(len(grown)-1)] = r.slots[i&uint64(len(r.slots)-1)]
		}
		r.slots = grown
	}
	r.slots[r.tail&uint64(len(r.slots)-1)] = slot
	r.tail++
}

func (r *ring) pop() uint32 {
	slot := r.slots[r.head&uint64(len(r.slots)-1)]
	r.head++
	return slot
}

// room reports whether one more message may be gathered.
func (b *batch) room() bool { return len(b.bundles) < batchBundles && b.bytes < batchBytes }

// behind returns the bundle of m behind bundle parent. While a message is gathered it is always the last one that was made
// there, if any.
func (b *batch) behind(parent uint32, m *Message) uint32 {
	if len(b.bundles) == 0 {
		b.bundles = append(b.bundles, bundle{})
	}
	if c := b.bundles[parent].child; c != 0 && b.bundles[c].m == m {
		return c
	}
	c := uint32(len(b.bundles))
	size := b.bundles[parent].size + uint32(m.size())
	b.bundles = append(b.bundles, bundle{m: m, parent: parent, size: size})
	b.bundles[parent].child = c
	b.bytes += m.size()
	return c
}

// reset forgets all bundles. No subscriber may have one.
func (b *batch) reset() {
	clear(b.bundles)
	b.bundles = b.bundles[:0]
	if cap(b.bundles) > 1024 {
		b.bundles = nil
	}
	if len(b.ring.slots) > 1<<16 {
		b.ring.slots = nil
	}
	b.bytes = 0
}

// gather adds the message of the fan-out to what the subscriber in slot will be sent next.
func (s *Shard) gather(slot uint32, sub *subscriber, m *Message) {
	b := &s.batch
	if sub.pending != 0 && b.bundles[sub.pending].size+uint32(m.size()) > bundleBytes {
		s.flush(slot)
		switch {
		case sub.flags&flagJoined == 0:
			return
		case sub.backlog != nil:
			s.owe(slot, sub, m, dirtUpdate)
			return
		}
	}
	if b.ring.empty() && s.hub.cfg.FlushInterval > 0 {
		s.flushAt = s.hub.nanotime() + int64(s.hub.cfg.FlushInterval)
		s.wakeAt(s.flushAt)
	}
	c := b.behind(sub.pending, m)
	b.bundles[c].holders++
	if sub.pending == 0 {
		b.ring.push(slot)
	} else {
		b.bundles[sub.pending].holders--
	}
	sub.pending = c
}

// flush writes what has been gathered for the subscriber in slot.
func (s *Shard) flush(slot uint32) {
	sub := s.subs.at(slot)
	at := sub.pending
	if at == 0 { // it left, or something else had it flushed
		return
	}
	sub.pending = 0
	s.batch.bundles[at].holders--
	frames, n := s.bundleOf(at, sub)
	if n == 0 {
		return
	}
	s.delivered += uint64(n)
	if n > 1 {
		s.coalesced += uint64(n)
	}
	if taken, ok := s.out.Write(slot, frames, n); !ok {
		s.cut(slot, at, taken)
	}
}

// bundleOf returns the frames of a bundle's path as sub is sent them, and how many they are. The bytes are good until the
// next call.
func (s *Shard) bundleOf(at uint32, sub *subscriber) (frames []byte, n int) {
	b := &s.batch
	u := &b.bundles[at]
	if u.parent == 0 {
		if sub.codec == CodecJSON && sub.bits == 0 {
			frames = u.m.frame
		} else {
			frames = s.frameOf(u.m, sub, dirtUpdate)
		}
		if frames == nil {
			return nil, 0
		}
		return frames, 1
	}
	for i := range u.frames {
		if f := &u.frames[i]; f.codec == sub.codec && f.bits == sub.bits {
			return f.b, f.n
		}
	}
	b.joined.reset()
	for _, m := range s.pathOf(at) {
		b.joined.add(s.frameOf(m, sub, dirtUpdate))
	}
	frames, n = b.joined.bytes(), b.joined.n
	if u.holders > 0 { // there are more
		u.frames = append(u.frames, bundleFrames{sub.codec, sub.bits, slices.Clone(frames), n})
	}
	return frames, n
}

// A joiner puts frames one behind the other. A single one is not copied.
type joiner struct {
	n    int
	one  []byte // of n == 1
	many []byte // scratch
}

func (j *joiner) reset() {
	const keep = 256 << 10 // bytes of scratch space that large messages may leave behind
	if cap(j.many) > keep {
		j.many = nil
	}
	j.n, j.one, j.many = 0, nil, j.many[:0]
}

// add appends a frame; nil is none.
func (j *joiner) add(frame []byte) {
	switch {
	case frame == nil:
		return
	case j.n == 0:
		j.one = frame
	case j.n == 1:
		j.many = append(append(j.many, j.one...), frame...)
	default:
		j.many = append(j.many, frame...)
	}
	j.n++
}

func (j *joiner) bytes() []byte {
	if j.n == 1 {
		return j.one
	}
	return j.many
}

func (j *joiner) len() int { return len(j.bytes()) }

// pathOf returns the messages of a bundle's path, the oldest first. They are good until the next call.
func (s *Shard) pathOf(at uint32) []*Message {
	path := s.path[:0]
	for ; at != 0; at = s.batch.bundles[at].parent {
		path = append(path, s.batch.bundles[at].m)
	}
	slices.Reverse(path)
	s.path = path
	return path
}

// cut notes that the socket of slot took only some bytes of a bundle, all of whole frames. The rest is owed.
func (s *Shard) cut(slot, at uint32, taken int) {
	if !s.behind(slot) {
		return
	}
	sub := s.subs.at(slot)
	for _, m := range s.pathOf(at) {
		f := s.frameOf(m, sub, dirtUpdate)
		if taken -= len(f); taken < 0 {
			s.delivered--
			s.owe(slot, sub, m, dirtUpdate)
			if sub.flags&flagJoined == 0 {
				return
			}
		}
	}
}

// unpack turns what has been gathered for the subscriber in slot, who has a backlog now, into that.
func (s *Shard) unpack(slot uint32, sub *subscriber) {
	at := sub.pending
	if at == 0 {
		return
	}
	sub.pending = 0
	s.batch.bundles[at].holders--
	for _, m := range s.pathOf(at) {
		if s.owe(slot, sub, m, dirtUpdate); sub.flags&flagJoined == 0 {
			return
		}
	}
}

// written notes how far the ring has come: messages are done once all that they were gathered for had their turn.
func (s *Shard) written() {
	b := &s.batch
	for b.done < len(b.ends) && b.ends[b.done].at <= b.ring.head {
		s.done(b.ends[b.done].m)
		b.done++
	}
	if b.done == len(b.ends) {
		clear(b.ends)
		b.ends, b.done = b.ends[:0], 0
	}
}
