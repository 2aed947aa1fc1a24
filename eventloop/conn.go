package eventloop

import (
	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
	"tickcast/eventloop/tlsrecord"
	"tickcast/wsproto"
)

// A conn is the state of a connection. The rest is in gnet and in the shard's subscriber. The loop owns all of it.
type conn struct {
	gc      gnet.Conn
	decoder wsproto.Decoder // of the frames after the upgrade
	extra   *extra          // nil = none, as nearly always
	slot    uint32          // its place in the loop, and its name in the shard

	// The timer, see wheel.go. Times are in ticks since the engine's start.
	next, prev uint32 // neighbours in the bucket: slot+1; see inBucket for the first one; prev 0 = in no bucket
	due        uint32 // when the timer fires
	opened     uint32 // when the connection, WebSocket or event stream was opened; of one that closes: see loop.closingOver; of one that was turned away: why
	heard      uint32 // when the last byte came

	bucket admission.Bucket // of the input, see limits.go

	// A delivery needs only the last 16 of the 80 bytes, which are always within one cache line.
	fd        int32
	sent      uint32 // when the last frame left
	loop      uint16 // index into Engine.byIndex
	code      wsproto.StatusCode
	state     connState
	transport transportKind
	flags     connFlags
}

// An extra is state that few connections hold, and an idle one only if it remembers messages.
type extra struct {
	request []byte // the start of an unfinished request
	input   []byte // input that waits for its turn; the connection is in loop.waiting if there is any, or stalled
	stalled bool   // its turn comes when the socket has taken the answers, see loop.stalls
	poll    *poll  // nil = none; then request holds the requests behind it

	// For compressed messages; see deflate.go.
	decoding wsproto.Config // of the client's messages, with the agreement; zero without one
	window   wsproto.Window // the messages that the client remembers; empty without context takeover
	counted  int            // bytes of the windows of both sides in counters.windowBytes
}

// withinRequest reports whether a part of c's next request has come. An empty line between requests is none: "a server that is
// expecting to receive and parse a request-line SHOULD ignore at least one empty line", RFC 9112 section 2.2.
func (c *conn) withinRequest() bool {
	return c.extra != nil && string(c.extra.request) != "\r\n" && string(c.extra.request) != "\r"
}

type connState uint8

const (
	stateFree       connState = iota // the slot has no connection
	stateHeld                        // beyond Limits.ConnectionsPerSecond: its input waits with gnet, see held.go
	stateTurnedAway                  // refused: the answer follows the first byte of a request, see turnaway.go
	stateRequest                     // a request is expected
	stateOpen                        // upgraded
	stateClosing                     // our close frame is sent, the client's is expected
	stateLinger                      // our last byte is sent; input is thrown away
)

type connFlags uint16

const (
	flagBehind    connFlags = 1 << iota // gnet holds bytes that the socket refused; listed in loop.behind
	flagPinged                          // a ping was sent since the client was heard
	flagShutdown                        // the sending side is shut down
	flagRefused                         // beyond Config.MaxConnections: counts in Engine.refused
	flagCounted                         // counts in Engine.addresses
	flagTrusted                         // the peer is a trusted proxy, whose X-Forwarded-For counts
	flagDeflate                         // permessage-deflate was agreed on: the client's messages may be compressed
	flagTLS                             // its bytes are those of its session, see secure.go
	flagThin                            // its socket has a smaller send buffer, see line.go
	flagWide                            // its socket has the kernel's send buffer
	flagJudged                          // its line was judged since it fell behind
	flagRedirect                        // its listener only redirects to https
	flagPass                            // it has a pass, see conns.passes
	flagCertified                       // the client's certificate names a user, see loop.certified
	flagKept                            // its cipher is kept, see ciphers.go
)

// conns is the table of a loop's connections.
type conns struct {
	broadcast.SlotTable[conn]
	free []uint32 // slots, the last freed on top
	made uint32   // slots that have been used since the table was shrunk
	used []uint16 // slots in use, by chunk

	gnets bool // gnet's own table is as large as this one was; see loop.shrinkTables

	sessions []*[broadcast.SlotChunk]tlsrecord.Session // by slot, of connections with TLS; nil = there was none in the chunk
	passes   []*[broadcast.SlotChunk]pass              // by slot, of connections with flagPass; as sessions
}

// session returns the place of the TLS session of slot. It is nil before the client's first byte.
func (t *conns) session(slot uint32) *tlsrecord.Session {
	return &t.sessions[slot/broadcast.SlotChunk][slot%broadcast.SlotChunk]
}

// claim returns a free conn.
func (t *conns) claim() *conn {
	var slot uint32
	if n := len(t.free); n > 0 {
		slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		slot = t.made
		t.made++
		t.Grow(slot)
	}
	if chunk := int(slot / broadcast.SlotChunk); chunk == len(t.used) {
		t.used = append(t.used, 1)
	} else {
		t.used[chunk]++
	}
	c := t.At(slot)
	c.slot = slot
	return c
}

// release gives c's slot back.
func (t *conns) release(c *conn) {
	slot := c.slot
	*c = conn{}
	t.free = append(t.free, slot)
	t.used[slot/broadcast.SlotChunk]--
}

// shrink gives the memory of the last chunks back if they are most of the table and none of their slots is in use. It returns the number
// of slots that stay; 0 = all.
func (t *conns) shrink() (made uint32) {
	chunks := len(t.used)
	for chunks > 0 && t.used[chunks-1] == 0 {
		chunks--
	}
	made = uint32(max(chunks, 1)) * broadcast.SlotChunk
	if made > t.made/shrinkPart {
		return 0
	}
	kept := make([]uint32, 0, made)
	for _, slot := range t.free {
		if slot < made {
			kept = append(kept, slot)
		}
	}
	t.free, t.made, t.used = kept, made, t.used[:made/broadcast.SlotChunk]
	t.Drop(made)
	return made
}

// shrinkPart is the part of the table of connections that stays, at most, when it is made small: slots that come into use again have to
// be made anew. Chosen by us.
const shrinkPart = 2

// makeSession makes the place of c's TLS session.
func (t *conns) makeSession(c *conn) {
	growChunks(&t.sessions, c.slot)
}

// growChunks makes the place of slot in a table in chunks of which some are nil.
func growChunks[T any](table *[]*[broadcast.SlotChunk]T, slot uint32) {
	chunk := int(slot / broadcast.SlotChunk)
	for len(*table) <= chunk {
		*table = append(*table, nil)
	}
	if (*table)[chunk] == nil {
		(*table)[chunk] = new([broadcast.SlotChunk]T)
	}
}
