package broadcast

import (
	"slices"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A batch holds the messages that were gathered for subscribers and are not written yet. A subscriber's messages are the
// path from the root to its bundle: subscribers that are owed the same messages share the bundle, and the bytes made of it.
// A message to a million subscribers that keep up is one bundle.
type batch struct {
	bundles []bundle        // the first is the root: nothing
	last    *topics.Message // the last one that was gathered
	bytes   int             // of all messages in bundles, and of the frames that bundles share
	flushAt int64           // time of the hub's clock at which the batch may be written; see Config.FlushInterval

	light, heavy turns // subscribers with a bundle; those with a large message do not keep the others waiting
	passed       int   // turns of light since the last one of heavy

	begun     int64 // time of the hub's clock at about which the first message was gathered
	conflates bool  // of the updates of a topic of ModeLast, a write holds the newest alone; see look

	joined  joiner            // scratch: frames of one subscriber
	path    []*topics.Message // scratch
	seen    newestSeen        // scratch of pathTo
	skipped int               // messages that the last path lacks
}

// A bundle is a message behind those of its parent.
type bundle struct {
	m       *topics.Message
	parent  uint32
	child   uint32 // the last bundle that was made behind this one; 0 = none
	holders uint32 // subscribers that it waits for
	size    uint32 // bytes of the whole path, as JSON
	frames  []bundleFrames
}

// turns are the slots of subscribers with a bundle, in the order of their turns, and the messages that they are sent.
type turns struct {
	ring
	ends     []batchEnd // gathered messages, by the ring's end at that time; the first from finished on are not all written
	finished int        // index into ends
}

// bundleFrames are the frames of a bundle's whole path for subscribers of one kind.
type bundleFrames struct {
	codec     wire.Codec
	bits      uint8
	conflated bool // batch.conflates when they were made
	b         []byte
	n         int // frames
	skipped   int // see batch.skipped
}

type batchEnd struct {
	m    *topics.Message
	tail uint64 // m is written once so many slots have left the ring
}

const (
	batchBundles = 65536    // bundles in a batch before the next message is gathered, of 64 bytes each
	batchBytes   = 4 << 20  // bytes of their messages, and of the frames that they share
	bundleBytes  = 64 << 10 // a subscriber's bundle that would be larger is written first; a larger message is heavy, and a bundle of its own
	lightAtOnce  = 256      // turns of light before one of heavy, while both wait
)

// conflateAfter is the default of Config.ConflateAfter. Chosen by us: clients hardly see it.
const conflateAfter = 100 * time.Millisecond

// empty reports whether no subscriber waits for its turn.
func (b *batch) empty() bool { return b.light.empty() && b.heavy.empty() }

// turnsOf returns the turns of the subscribers that are sent m.
func (b *batch) turnsOf(m *topics.Message) *turns {
	if m.Size() > bundleBytes {
		return &b.heavy
	}
	return &b.light
}

// nextTurn removes the slot whose turn is next. The batch is not empty. The write of a large message may take as long as a hundred of
// others, and as a rule its socket does not take it whole: so it comes behind them, but for one now and then.
func (b *batch) nextTurn() (slot uint32) {
	if b.light.empty() || b.passed >= lightAtOnce && !b.heavy.empty() {
		b.passed = 0
		return b.heavy.pop()
	}
	b.passed++
	return b.light.pop()
}

// look looks whether the batch conflates: the hub's clock says now, and after is the age from which on it does. The loop counts as
// behind then, and only the newest value of a topic of ModeLast is worth a place in a write.
func (b *batch) look(now int64, after time.Duration) {
	if len(b.bundles) == 0 {
		b.begun = now
	}
	b.conflates = now-b.begun > int64(after)
}

// hasRoom reports whether one more message may be gathered.
func (b *batch) hasRoom() bool { return len(b.bundles) < batchBundles && b.bytes < batchBytes }

// overflows reports whether m would make the bundle of sub too large.
func (b *batch) overflows(sub *subscriber, m *topics.Message) bool {
	return sub.pending != 0 && b.bundles[sub.pending].size+uint32(m.Size()) > bundleBytes
}

// add gathers m for sub, in slot. While a message is gathered, its bundle is always the last one that was made behind a bundle,
// if any.
func (b *batch) add(slot uint32, sub *subscriber, m *topics.Message) {
	if len(b.bundles) == 0 {
		b.bundles = append(b.bundles, bundle{})
	}
	parent := sub.pending
	c := b.bundles[parent].child
	if c == 0 || b.bundles[c].m != m {
		c = b.newBundle(parent, m)
	}
	b.bundles[c].holders++
	if parent == 0 {
		b.turnsOf(m).push(slot)
	} else { // it is light: see overflows
		b.bundles[parent].holders--
	}
	sub.pending = c
}

// newBundle makes a bundle of m behind bundle parent.
func (b *batch) newBundle(parent uint32, m *topics.Message) uint32 {
	if m != b.last {
		b.last = m
		b.bytes += m.Size()
	}
	c := uint32(len(b.bundles))
	size := b.bundles[parent].size + uint32(m.Size())
	b.bundles = append(b.bundles, bundle{m: m, parent: parent, size: size})
	b.bundles[parent].child = c
	return c
}

// remove takes sub's bundle from it and returns the bundle; 0 = none.
func (b *batch) remove(sub *subscriber) (bundle uint32) {
	if bundle = sub.pending; bundle != 0 {
		sub.pending = 0
		b.bundles[bundle].holders--
	}
	return bundle
}

// pathTo returns the messages of a bundle's path that are worth writing, the oldest first. They are good until the next call.
func (b *batch) pathTo(bundle uint32) []*topics.Message {
	b.path, b.skipped = b.path[:0], 0
	if b.conflates {
		b.seen = newestSeen{}
	}
	for ; bundle != 0; bundle = b.bundles[bundle].parent {
		m := b.bundles[bundle].m
		if b.conflates && b.seen.replaces(m) {
			b.skipped++
			continue
		}
		b.path = append(b.path, m)
	}
	slices.Reverse(b.path)
	return b.path
}

// A newestSeen holds the newest updates of a path, by the topic. Topics whose IDs are alike share a place, and then an older
// update may be kept.
type newestSeen [128]*topics.Message

// replaces reports whether an update that was seen before makes m needless. Updates come in the order from new to old.
func (s *newestSeen) replaces(m *topics.Message) bool {
	if m.Kind != topics.KindData || m.Topic.Class.Mode != topics.ModeLast {
		return false
	}
	newer := &s[m.Topic.ID%uint32(len(s))]
	if *newer != nil && (*newer).Supersedes(m) {
		return true
	}
	*newer = m
	return false
}

// shared returns the frames that were made of bundle for subscribers like sub, as pathTo would lead to them, or nil.
func (b *batch) shared(bundle uint32, sub *subscriber) *bundleFrames {
	for i := range b.bundles[bundle].frames {
		if f := &b.bundles[bundle].frames[i]; f.codec == sub.codec && f.bits == sub.bits && f.conflated == b.conflates {
			b.skipped = f.skipped
			return f
		}
	}
	return nil
}

// share returns the frames that were joined of bundle for sub. If there are more like it, it keeps a copy of them, and the number of
// messages that the path lacks: then they are stable, which is good until reset.
func (b *batch) share(bundle uint32, sub *subscriber) (frames []byte, n int, stable bool) {
	frames, n = b.joined.bytes(), b.joined.n
	if u := &b.bundles[bundle]; u.holders > 0 && b.bytes < 2*batchBytes {
		b.bytes += len(frames)
		frames, stable = slices.Clone(frames), true
		u.frames = append(u.frames, bundleFrames{sub.codec, sub.bits, b.conflates, frames, n, b.skipped})
	}
	return frames, n, stable
}

// framesOf returns the frames of a bundle's path for sub, and their number. The bytes are good until the next call, and if they are stable
// until reset.
func (b *batch) framesOf(bundle uint32, sub *subscriber, f *framer) (frames []byte, n int, stable bool) {
	if u := &b.bundles[bundle]; u.parent == 0 {
		b.skipped = 0
		if sub.codec == wire.CodecJSON && sub.bits == 0 {
			frames = u.m.Frame()
		} else {
			frames = f.frameOf(u.m, sub, wire.FormUpdate)
		}
		if frames == nil {
			return nil, 0, true
		}
		return frames, 1, true
	}
	if s := b.shared(bundle, sub); s != nil {
		return s.b, s.n, true
	}
	b.joined.reset()
	for _, m := range b.pathTo(bundle) {
		b.joined.add(f.frameOf(m, sub, wire.FormUpdate))
	}
	return b.share(bundle, sub)
}

// end notes that m has been gathered for all its subscribers.
func (b *batch) end(m *topics.Message) {
	t := b.turnsOf(m)
	t.ends = append(t.ends, batchEnd{m, t.tail})
}

// nextWritten returns the next message whose subscribers all had their turn, or nil.
func (t *turns) nextWritten() (m *topics.Message) {
	if t.finished < len(t.ends) && t.ends[t.finished].tail <= t.head {
		t.finished++
		return t.ends[t.finished-1].m
	}
	if t.finished == len(t.ends) {
		t.ends, t.finished = emptied(t.ends), 0
	}
	return nil
}

// reset forgets all bundles. No subscriber may have one.
func (b *batch) reset() {
	if cap(b.bundles) > 1024 && len(b.bundles) < cap(b.bundles)/8 { // the flood is over
		b.bundles = nil
	}
	b.bundles = emptied(b.bundles)
	b.light.trim()
	b.heavy.trim()
	b.last, b.bytes, b.conflates = nil, 0, false
}
