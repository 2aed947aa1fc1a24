package eventloop

import (
	"github.com/panjf2000/gnet/v2"

	"tickcast/wsproto"
)

// A conn is the state of a connection: everything but the sockets' own is here and in the shard's subscriber.
// All of it is owned by the loop.
type conn struct {
	gc      gnet.Conn
	loop    *loop
	decoder wsproto.Decoder // of what comes after the upgrade
	aside   *aside          // nil = nothing, as nearly always
	slot    uint32          // its place in the loop, and its name at the shard

	// The timer wheel: see timers.go. Times are in ticks since the engine's start.
	next, prev uint32 // neighbours in the bucket: slot+1, 0 = none
	due        uint32 // when the timer fires
	since      uint32 // when the state was entered
	heard      uint32 // when the last byte came

	// What a delivery needs is in the last 16 of the 80 bytes, which are always within one cache line.
	fd     int32
	sent   uint32 // when the last frame left; a tick as well
	bucket uint16 // of the wheel; noBucket = in none
	queued uint16 // answers that were given to gnet while it had bytes waiting
	code   wsproto.StatusCode
	state  connState
	flags  connFlags
}

// An aside is what few connections hold, and none while it is idle, unless it remembers messages.
type aside struct {
	head []byte // what has come of an unfinished request; before the upgrade
	rest []byte // what is left to be handled of what came; the connection is in loop.waiting if it is not empty

	// For compressed messages; see deflate.go.
	frames wsproto.Config // for the client's messages; holds what was agreed on
	window wsproto.Window // what the client remembers of what it was sent; empty without context takeover
	kept   int            // bytes of the windows of both sides, as they are counted
}

type connState uint8

const (
	stateFree    connState = iota // the slot has no connection
	stateRequest                  // a request is expected
	stateOpen                     // a WebSocket; known to the shard unless it has flagEcho
	stateClosing                  // our close frame is sent, the client's is expected
	stateLinger                   // our last byte is given; what comes is thrown away
)

type connFlags uint8

const (
	flagBehind    connFlags = 1 << iota // gnet holds bytes that the socket did not take; listed in loop.behind
	flagPinged                          // a ping was sent since the client was heard
	flagShutdown                        // the sending side is shut down
	flagWebSocket                       // was upgraded: counts as closed by code
	flagRefused                         // beyond Config.MaxConnections: counts in Engine.refused
	flagEcho                            // gets back what it sends; not known to the shard
	flagDeflate                         // its messages may be compressed
	flagTakeover                        // is sent frames of its own, see appendOwn
)

// conns is a table by slot that grows without moving what it holds.
type conns struct {
	chunks []*[chunkSize]conn
	free   []uint32 // slots, the last freed on top
	made   uint32   // slots that have ever been used
}

const chunkSize = 512

func (t *conns) at(slot uint32) *conn { return &t.chunks[slot/chunkSize][slot%chunkSize] }

// take returns a free conn.
func (t *conns) take() *conn {
	var slot uint32
	if n := len(t.free); n > 0 {
		slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		slot = t.made
		t.made++
		if int(slot/chunkSize) == len(t.chunks) {
			t.chunks = append(t.chunks, new([chunkSize]conn))
		}
	}
	c := t.at(slot)
	*c = conn{slot: slot, bucket: noBucket}
	return c
}

// put gives c's slot back.
func (t *conns) put(c *conn) {
	slot := c.slot
	*c = conn{bucket: noBucket}
	t.free = append(t.free, slot)
}
