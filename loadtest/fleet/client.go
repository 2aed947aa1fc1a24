package fleet

import (
	"time"

	"tickcast/wsproto"
)

// A client is one connection as its worker sees it. A fleet of a million holds a million of them, so its size is the load
// tester's memory. Data of rare states (half a response, bytes that a full socket refused, TLS) is in the worker's maps
// instead. Data that can be computed again (key, topic) is not stored.
type client struct {
	decoder   wsproto.Decoder
	fd        int32
	begun     uint32 // when connect(2) was called, in tenths of a millisecond since the fleet began
	state     state
	role      role
	probe     bool // latencies are recorded
	replied   bool // the subscribe command was answered
	granted   bool // and not refused
	returning bool // it was open before
	secure    bool // the TLS handshake is over
	stormy    bool // it left in a storm and is not subscribed again
}

// A state is a stage in a client's life. It only moves down this list, until the client connects again.
type state uint8

const (
	stateUnused     state = iota
	stateConnecting       // connect(2) called
	stateUpgrading        // request sent, no answer yet
	stateOpen
	stateClosing // close frame sent by Close
	stateEnded   // fd closed
)

// pending reports whether the client is being opened.
func (s state) pending() bool { return s == stateConnecting || s == stateUpgrading }

// An attempt is a connection that is being opened.
type attempt struct {
	slot  int32
	begun uint32 // as in the client: each attempt of a client begins at another time
}

// A churn makes clients leave and come back at a steady rate. The zero value makes no client leave.
type churn struct {
	rate  float64 // clients a second, of this worker
	begun time.Time
	done  int
}

// tenth is the unit of a client's time.
const tenth = time.Millisecond / 10
