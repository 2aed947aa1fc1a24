package topics

import (
	"sync/atomic"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A Kind is the content of a Message.
type Kind uint8

const (
	KindData     Kind = iota // an update of the topic
	KindStale                // the topic is silent, or may have changed unseen
	KindFresh                // the topic is heard again
	KindGap                  // messages of the topic are lost
	KindRestart              // messages are lost, and sequences begin anew
	KindUpstream             // upstream went away or came back, see Hub.Stale; it concerns all topics, and Topic is nil
	KindMark                 // a command of a client of the shard waited for this place; Topic is nil
)

// A cause is the reason for which a topic is stale. It decides how that ends.
type cause uint8

const (
	causeLost   cause = iota // its newest message may be lost; ended by its next message, as all others
	causeSilent              // nothing was heard for Class.StaleAfter
	causeDenied              // NATS does not allow its subscription
	causeAway                // its stream is not read; ended only by that
)

// A Message is an entry in the stream of a topic: an update, framed and ready to be shared, or a notice to all subscribers,
// which keeps its place among the updates. It is immutable once posted, except for the fields that say otherwise.
type Message struct {
	Topic    *Topic
	Seq      uint64 // of a gap: the last lost one, at most; of stale and fresh: their number, see Known.State
	Prev     uint64 // no message of the topic came between this sequence and Seq; 0 = that is not known, unless First says so
	frame    []byte // the whole WebSocket frame of the update for CodecJSON, or of the notice; nil if the payload is binary
	payload  []byte // as it came; part of frame where that holds the same bytes
	data     []byte // the payload inside frame: the value of "d"
	Received int64  // when upstream delivered it; nanoseconds of the hub's clock
	Kind     Kind
	json     bool   // the payload is JSON
	cause    cause  // of KindStale
	Gen      uint32 // generation of Seq: how often the stream was made anew; 0 without a stream
	First    bool   // Prev is no message: the topic has none before this one that a shard could miss
	Seed     bool   // of KindData: it is older than the subscriptions of its topic; shards keep it for those to come
	Wide     bool   // of KindGap: all since the last entry that a shard has is lost
	Dropped  bool   // of KindStale: the topic's newest message is to be forgotten; present subscribers need not know

	frames  atomic.Pointer[frames] // its frames for other codecs and windows; nil until they are needed; any goroutine
	pending atomic.Int32           // shards that have not finished writing it
	holders atomic.Int32           // queues of clients, and inHistory; any goroutine
}

// A Position is a place in the messages of topics of one epoch: all up to Seq are known. The zero value is the beginning.
type Position struct {
	Seq uint64
	Gen uint32 // see Message
}

// Behind reports whether p is an earlier position than q.
func (p Position) Behind(q Position) bool { return p.Gen < q.Gen || p.Gen == q.Gen && p.Seq < q.Seq }

// frames are the frames of one message for all but the most usual kind of client. Each is built by the first loop that needs
// it; two loops may build the same one at once, and either result serves. Any goroutine may use it.
type frames struct {
	plain      [wire.WebSockets][wire.Forms]atomic.Pointer[[]byte]
	compressed [wire.WebSockets][wire.Forms]atomic.Pointer[windows]
	other      atomic.Pointer[otherFrames] // nil until a client of another transport needs one
}

// otherFrames are the forms of one message for transports other than WebSocket.
type otherFrames [wire.Codecs - wire.WebSockets][wire.Forms]atomic.Pointer[[]byte]

// windows are the compressed frames of one message by the size of the window. A frame is the plain one where compression
// does not pay.
type windows [wsproto.MaxWindowBits - wsproto.MinWindowBits + 1]atomic.Pointer[[]byte]

// newMessage frames payload as the update seq of t, of generation 0. data is the form of payload for JSON clients, which may be payload itself
// (see wire.Payload), or nil if they cannot be sent it. Both are copied.
func newMessage(t *Topic, seq, prev uint64, payload, data []byte, received int64) *Message {
	m := &Message{Topic: t, Seq: seq, Prev: prev, Received: received}
	if data == nil {
		m.payload = append([]byte{}, payload...)
		return m
	}
	u := m.update()
	m.frame = wire.AppendUpdate(nil, &u, wire.FormUpdate, data)
	m.data = m.frame[len(m.frame)-1-len(data) : len(m.frame)-1]
	if m.json = len(data) == len(payload) && (len(data) == 0 || &data[0] == &payload[0]); m.json {
		m.payload = m.data
	} else {
		m.payload = append([]byte{}, payload...)
	}
	return m
}

// newNotice returns a notice to all subscribers of t. seq is Message.Seq.
func newNotice(t *Topic, kind Kind, why string, seq uint64) *Message {
	m := &Message{Topic: t, Kind: kind, Seq: seq}
	switch kind {
	case KindStale:
		m.frame = wire.Stale(t.Name, why)
	case KindFresh:
		m.frame = wire.Fresh(t.Name)
	default:
		m.frame = wire.Gap(t.Name, why)
	}
	return m
}

// NewGap returns the notice that messages of t after a position and up to a sequence are lost to a shard.
func NewGap(t *Topic, why string, after Position, upto uint64) *Message {
	m := newNotice(t, KindGap, why, upto)
	m.Prev, m.Gen = after.Seq, after.Gen
	return m
}

// Widened returns a copy of m, a gap, that begins behind a position. If that is not known yet, it is Wide.
func (m *Message) Widened(after uint64) *Message {
	return &Message{Topic: m.Topic, Kind: m.Kind, Seq: m.Seq, Prev: after, Gen: m.Gen, frame: m.frame, Wide: after == 0}
}

// Before returns the position before m: a client that resumes there is sent all of m.
func (m *Message) Before() Position {
	if m.Kind == KindGap && m.Prev > 0 {
		return Position{m.Prev, m.Gen}
	}
	return Position{m.Seq - min(m.Seq, 1), m.Gen}
}

// update describes m to the encoders of package wire.
func (m *Message) update() wire.Update {
	t := m.Topic
	return wire.Update{
		Topic: t.Name, Prefix: t.prefix, Seq: m.Seq, Prev: m.Prev, Lossless: t.Class.Mode == ModeAll, JSON: m.json,
	}
}

// Frame returns the frame of m for CodecJSON without compression; nil if the payload is binary.
func (m *Message) Frame() []byte { return m.frame }

// Size returns about how many bytes m keeps in memory for its payload.
func (m *Message) Size() int {
	if m.json { // payload is a part of frame
		return len(m.frame)
	}
	return len(m.frame) + len(m.payload)
}

// Framed returns the frame that carries m with a codec, or its form for another transport; nil if the codec cannot carry it. Any goroutine may call it.
func (m *Message) Framed(codec wire.Codec, form wire.Form) []byte {
	switch {
	case codec >= wire.WebSockets:
		return m.framedOther(codec, form)
	case m.Kind != KindData:
		if codec == wire.CodecRaw {
			return nil
		}
		return m.frame
	case codec == wire.CodecJSON && (form == wire.FormUpdate || m.frame == nil):
		return m.frame
	case codec == wire.CodecRaw:
		form = wire.FormUpdate // both forms are the same bytes
	}
	at := &m.others().plain[codec][form]
	if f := at.Load(); f != nil {
		return *f
	}
	var f []byte
	u := m.update()
	switch codec {
	case wire.CodecJSON:
		f = wire.AppendUpdate(nil, &u, form, m.data)
	case wire.CodecBin:
		f = wire.AppendBin(nil, &u, form, m.payload)
	default:
		op := wsproto.OpText
		if m.frame == nil {
			op = wsproto.OpBinary
		}
		f = wsproto.AppendFrame(nil, op, m.payload)
	}
	at.Store(&f)
	return f
}

// framedOther returns the form of m for another transport than WebSocket, around the message that a WebSocket's client reads.
func (m *Message) framedOther(codec wire.Codec, form wire.Form) []byte {
	if m.frame == nil {
		return nil
	}
	at := &m.others().unframed()[codec-wire.WebSockets][form]
	if f := at.Load(); f != nil {
		return *f
	}
	payload := wire.PayloadOf(m.frame)
	if m.Kind == KindData && form == wire.FormSnapshot {
		u := m.update()
		payload = wire.PayloadOf(wire.AppendUpdate(nil, &u, form, m.data))
	}
	var f []byte
	switch {
	case codec == wire.CodecPoll:
		f = wire.AppendElement(nil, payload)
	case codec == wire.CodecEventIDs && form == wire.FormUpdate && m.Topic != nil && m.moves():
		f = wire.AppendEvent(nil, m.Topic.Class.cursor(Position{m.Seq, m.Gen}), payload)
	default:
		f = wire.AppendEvent(nil, "", payload)
	}
	at.Store(&f)
	return f
}

// moves reports whether the position of a client that is sent m is behind m.
func (m *Message) moves() bool { return m.Kind != KindStale && m.Kind != KindFresh }

func (f *frames) unframed() *otherFrames {
	o := f.other.Load()
	if o == nil {
		o = new(otherFrames)
		if !f.other.CompareAndSwap(nil, o) {
			o = f.other.Load()
		}
	}
	return o
}

// Compressed returns the place for the frame of m that is compressed for a window of 2^bits bytes. Any goroutine may call it.
func (m *Message) Compressed(codec wire.Codec, form wire.Form, bits uint8) *atomic.Pointer[[]byte] {
	at := &m.others().compressed[codec][form]
	w := at.Load()
	if w == nil {
		w = new(windows)
		if !at.CompareAndSwap(nil, w) {
			w = at.Load()
		}
	}
	return &w[bits-wsproto.MinWindowBits]
}

func (m *Message) others() *frames {
	fs := m.frames.Load()
	if fs == nil {
		fs = new(frames)
		if !m.frames.CompareAndSwap(nil, fs) {
			fs = m.frames.Load()
		}
	}
	return fs
}
