package eventloop

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// A loop is the state of one event loop: its connections, their timers and its shard. It is the shard's outlet.
type loop struct {
	// Immutable once the loop has shown itself.
	engine *Engine
	index  int
	el     gnet.EventLoop
	shard  *broadcast.Shard
	times  loopTimes
	tasks  struct{ tick, drain, expire, end, turns gnet.Runnable }

	// Any goroutine.
	ticking  atomic.Bool  // a tick is posted
	posted   atomic.Int64 // when; nanoseconds since the engine's start
	lag      atomic.Int64 // how long the last tick waited, nanoseconds
	counters counters

	// Owned by the loop.
	poke    *poke // nil in tests without gnet
	conns   conns
	wheel   wheel
	now     uint32   // ticks since the engine's start, as of the last tick
	behind  []uint32 // slots of connections with flagBehind
	swept   time.Time
	scratch []byte   // for responses
	chunks  [][]byte // scratch
	ending  uint32   // shutdown: the next slot to end
	expires bool     // expired timers are left and a continuation is on its way
	late    bool     // the last tick came so late that it judged nobody
	waiting []uint32 // slots of connections of which something is left to be handled, in the order of their turns
	turning bool     // turns is on its way
	hb      []byte   // the heartbeat frame of tick hbAt
	hbAt    uint32
	date    []byte // the Date header line of second dateAt
	dateAt  int64
	owner   ownerCheck

	answers   []byte // pongs and echoes of one read, to be written at once
	collected uint64 // how many they are
	packed    []byte // scratch: frames for one client
	inflater  wsproto.Inflater
	inflating wsproto.Config // for clients that compress without context takeover

	// Owned by the loop; published to counters now and then.
	tally
}

// loopTimes are the configured durations in ticks.
type loopTimes struct{ handshake, first, closing, heartbeat, ping, idle uint32 }

// tally are figures that only grow. The loop counts without synchronisation and publishes now and then.
type tally struct {
	accepted, requests, opened                 uint64
	frames, bytesSent, bytesReceived, messages uint64
	pings, pongTimeouts, panics, compressed    uint64
	rejected                                   [rejectReasons]uint64
}

type counters struct {
	connections, webSockets, windowBytes atomic.Int64

	mu     sync.Mutex
	tally  tally
	closed map[wsproto.StatusCode]uint64
}

func newLoop(e *Engine, index int) *loop {
	l := &loop{engine: e, index: index, shard: e.hub.Shard(index), times: e.times}
	l.counters.closed = make(map[wsproto.StatusCode]uint64)
	l.inflating = wsproto.Config{
		MaxMessage: e.frames.MaxMessage, Inflater: &l.inflater,
		// Any smaller window is within these.
		Deflate: wsproto.Deflate{ServerWindowBits: wsproto.MaxWindowBits, ClientWindowBits: wsproto.MaxWindowBits},
	}
	l.tasks.tick = l.task(l.tick)
	l.tasks.drain = l.task(l.drain)
	l.tasks.expire = l.task(l.expire)
	l.tasks.end = l.task(l.end)
	l.tasks.turns = l.task(l.turns)
	return l
}

// task makes f something that gnet can run on the loop. A panic ends the task and is counted, not the process.
func (l *loop) task(f func()) gnet.Runnable {
	return gnet.RunnableFunc(func(context.Context) error {
		l.check()
		defer l.recover(nil)
		f()
		return nil
	})
}

// recover, deferred at the edge of the loop, ends the connection whose bytes made a handler panic. That is an error of
// ours; the other connections must not pay for it.
func (l *loop) recover(c *conn) {
	r := recover()
	if r == nil {
		return
	}
	l.panics++
	l.answers, l.collected = l.answers[:0], 0 // they are nobody else's
	l.inflater = wsproto.Inflater{}           // it may be in the middle of a message
	l.engine.log.Error("panic on an event loop", "loop", l.index, "panic", r, "stack", string(debug.Stack()))
	if c != nil && c.state != stateFree {
		c.code = wsproto.StatusInternalError
		l.drop(c)
	}
}

// post has t run on the loop. Any goroutine but the loop's own may call it directly; the loop goes through again.
func (l *loop) post(t gnet.Runnable) {
	// It fails only while the engine stops, when nothing is left to do.
	_ = l.el.Execute(context.Background(), t)
}

// again continues t after the loop has looked at its sockets.
func (l *loop) again(t gnet.Runnable) {
	if l.poke == nil || !l.poke.add(t) {
		go l.post(t)
	}
}

// lateTicks is how many ticks may be left out before the loop counts as late. Chosen by us.
const lateTicks = 5

// tick runs ten times a second.
func (l *loop) tick() {
	waited := time.Since(l.engine.started) - time.Duration(l.posted.Load())
	l.lag.Store(int64(waited))
	l.ticking.Store(false)
	before := l.now
	l.now = l.engine.tick()
	l.advance(l.now)
	// If the loop stood still, what clients have sent meanwhile must be read before they are judged by when they were heard.
	l.late = l.now-before > lateTicks && !l.late
	if !l.late && !l.expires {
		l.expire()
	}
	l.sweep()
	l.publish()
}

// expire runs what is due, in slices. Ticks that come in between start no second continuation: two of them would follow
// each other without a look at the sockets.
func (l *loop) expire() {
	l.expires = false
	if l.fire(time.Now().Add(l.engine.cfg.Slice)) {
		l.expires = true
		l.again(l.tasks.expire)
	}
}

// drain fans out what has been posted to the shard, in slices. The shard wakes nobody before it has said that nothing is
// left: after a panic somebody has to go on as well.
func (l *loop) drain() {
	more := true
	defer func() {
		if more {
			l.again(l.tasks.drain)
		}
	}()
	more = l.shard.Drain(l.engine.cfg.Slice)
	if len(l.behind) > 0 && time.Since(l.swept) > sweepInterval {
		l.sweep()
	}
	if !more {
		l.publish()
	}
}

// publish makes the loop's figures visible to other goroutines.
func (l *loop) publish() {
	c := &l.counters
	c.mu.Lock()
	c.tally = l.tally
	c.mu.Unlock()
}

// heartbeatFrame returns {"op":"hb"}, the same bytes for everyone in a tick.
func (l *loop) heartbeatFrame() []byte {
	if l.hb == nil || l.hbAt != l.now {
		l.hb, l.hbAt = broadcast.Heartbeat(time.Now()), l.now
	}
	return l.hb
}

// open takes in a connection that gnet accepted.
func (l *loop) open(gc gnet.Conn) gnet.Action {
	c := l.conns.take()
	c.gc, c.loop, c.fd = gc, l, int32(gc.Fd())
	c.state, c.since = stateRequest, l.now
	gc.SetContext(c)
	l.accepted++
	l.counters.connections.Add(1)
	e := l.engine
	switch n := e.connections.Add(1) - e.refused.Load(); {
	case n > e.maxConnections && e.refused.Load() >= e.reserve/2: // too many are being refused already
		l.rejected[rejectMaxConnections]++
		return gnet.Close
	case n > e.maxConnections:
		c.flags |= flagRefused
		e.refused.Add(1)
		l.refuse(c, status503, "too many connections")
	case e.draining.Load():
		l.refuse(c, status503Draining, "the server is going away")
	default:
		l.schedule(c, l.now+l.times.handshake)
	}
	return gnet.None
}

// closed takes out a connection that gnet is about to close.
func (l *loop) closed(c *conn) {
	l.unschedule(c)
	l.forget(c)
	if c.state == stateOpen {
		l.shard.Leave(c.slot)
	}
	if c.flags&flagWebSocket != 0 {
		if c.code == 0 {
			c.code = wsproto.StatusAbnormal
		}
		l.counters.webSockets.Add(-1)
		l.counters.mu.Lock()
		l.counters.closed[c.code]++
		l.counters.mu.Unlock()
	}
	if c.flags&flagRefused != 0 {
		l.engine.refused.Add(-1)
	}
	if c.flags&flagBehind != 0 {
		*c = conn{slot: c.slot, bucket: noBucket} // the next sweep takes it off the list and gives the slot back
	} else {
		l.conns.put(c)
	}
	l.counters.connections.Add(-1)
	l.engine.gone()
}

// drop ends the connection at once. The kernel still sends what it has.
func (l *loop) drop(c *conn) {
	_ = l.el.Close(c.gc) // its errors are the kernel's about a socket that is gone either way
}

// discard ends the connection of a client that had its time to read. What it has not taken yet is lost: the kernel would
// keep it, and try to get rid of it, for as long as the client answers its probes.
func (l *loop) discard(c *conn) {
	if n, err := unix.IoctlGetInt(int(c.fd), unix.TIOCOUTQ); err == nil && n > 0 {
		_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	l.drop(c)
}
