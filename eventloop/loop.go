package eventloop

import (
	"context"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/wsproto"
)

// A loop is the state of one event loop: its connections, their timers and its shard. It is the shard's outlet. It has more
// than 25 fields since one value for each loop holds all that its connections share, so that they need not hold it themselves.
type loop struct {
	// Immutable once the loop has shown itself.
	engine     *Engine
	index      int
	el         gnet.EventLoop
	shard      *broadcast.Shard
	transports *transportTable
	tasks      struct{ tick, fanOut, expire, end, turns, keys, sweep gnet.Runnable }

	// Any goroutine.
	ticking  atomic.Bool  // a tick is posted
	posted   atomic.Int64 // when; nanoseconds since the engine's start
	lag      atomic.Int64 // wait of the last tick, nanoseconds
	due      atomic.Bool  // a fan-out is scheduled
	counters counters
	doing    doing

	// Owned by OnTick.
	stuck bool // it was logged that the loop does not answer

	// Owned by the loop.
	owner     broadcast.Owner
	poke      *poke // nil in tests without gnet
	conns     conns
	wheel     wheel
	now       uint32            // ticks since the engine's start, at the last tick
	stalled   bool              // the last tick came so late that it judged no client
	expiring  bool              // expired timers are left, and a task for them is scheduled
	behind    []uint32          // slots of connections with flagBehind
	queued    map[uint32]uint16 // by slot, of these: the cost of the answers that were given to gnet while it held bytes, see enqueue
	lastSweep time.Time
	sweepDue  bool         // a task for a sweep is scheduled
	waiting   fifo[uint32] // slots of connections with input that waits, in the order of their turns
	held      fifo[held]   // connections that wait for their admission, and some that have ended meanwhile
	asking    []asking     // tokens that wait for keys
	fetches   uint32       // of keys, so far
	round     round
	inside    int                       // calls of gnet and tasks that are under way, one within the other
	drained   time.Time                 // when the last slice of fan-out was over
	share     time.Duration             // the longest time for the input that is handled now
	kept      []uint32                  // slots of connections whose cipher is kept,
	keptSeen  uint32                    // and the tick of the last look at them
	sealing   sealGroup                 // scratch of WriteAll
	listeners map[net.Addr]listenerKind // by local address; gnet gives all connections of a listener the same value
	turnDue   bool                      // a task for the turns is scheduled
	certified map[uint32]*auth.Claims   // by slot: of the certificate, of connections with flagCertified
	ending    uint32                    // shutdown: the next slot to end,
	told      uint32                    // and to tell before that
	endDue    bool                      // a task for these is scheduled

	scratch       []byte // for one response or close frame
	packed        []byte // scratch of send: frames for one client
	sealed        []byte // scratch of sendSealed: records for one client
	lastResponse  bool   // a response is the last one of its connection: the end follows at once
	cors          []byte // header lines of the answers to the request that is being served
	http10        bool   // that request is of HTTP/1.0
	bodiless      bool   // that request is HEAD: the answers have no body
	answers       []byte // pongs and echoes of one read, to be written together
	collected     int    // the number of answers
	heartbeat     []byte // the frame of tick heartbeatTick
	heartbeatTick uint32
	date          []byte // the Date header line of second dateSecond
	dateSecond    int64
	inflater      wsproto.Inflater
	inflating     wsproto.Config // for clients that compress without context takeover

	tally // published to counters now and then
}

// foreign is the fault of a goroutine that uses a loop's state.
const foreign = "eventloop: a loop's state was used outside of the loop"

// row returns c's row of the transport table.
func (l *loop) row(c *conn) *transport { return &l.transports[c.transport] }

// task makes f a task of the loop. A panic ends the task and is counted; it does not end the process.
func (l *loop) task(f func()) gnet.Runnable {
	return gnet.RunnableFunc(func(context.Context) error {
		l.owner.Check(foreign)
		defer l.recover(nil)
		defer l.enter().leave()
		f()
		return nil
	})
}

// enter notes that a call of gnet or a task has begun.
func (l *loop) enter() *loop {
	l.inside++
	return l
}

// leave notes that it is over.
func (l *loop) leave() { l.inside-- }

// recover, deferred at the edge of the loop, ends the connection whose input made a handler panic. That is an error of ours;
// the other connections must not pay for it.
func (l *loop) recover(c *conn) {
	r := recover()
	if r == nil {
		return
	}
	l.panics++
	l.answers, l.collected = l.answers[:0], 0 // they are of this connection
	l.forgetRequest()
	l.lastResponse = false
	l.inflater = wsproto.Inflater{} // it may be in the middle of a message
	l.engine.log.Error("panic on an event loop", "loop", l.index, "panic", r, "stack", string(debug.Stack()))
	if c != nil && c.state != stateFree {
		c.code = wsproto.StatusInternalError
		l.drop(c)
	}
}

// post runs t on the loop. Any goroutine but the loop's own may call it; the loop calls continueWith.
func (l *loop) post(t gnet.Runnable) {
	// It fails only while the engine stops, when no task matters any more.
	_ = l.el.Execute(context.Background(), t)
}

// continueWith runs t after the loop has looked at its sockets.
func (l *loop) continueWith(t gnet.Runnable) {
	if l.poke == nil || !l.poke.addTask(t) {
		go l.post(t)
	}
}

// drop ends the connection at once. The kernel still sends the bytes that it has.
func (l *loop) drop(c *conn) {
	l.sayGoodbye(c)
	_ = l.el.Close(c.gc) // its errors are the kernel's about a socket that is gone either way
}

// discard ends the connection of a client that had its time to read, and throws away all that it has not read.
func (l *loop) discard(c *conn) {
	discardUnsent(c.fd)
	l.drop(c)
}

// reuse returns scratch space for the next use, or nil if a large use has made it large.
func reuse(scratch []byte) []byte {
	if cap(scratch) > 64<<10 {
		return nil
	}
	return scratch[:0]
}
