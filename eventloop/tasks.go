package eventloop

import (
	"time"

	"tickcast/wsproto"
)

func newLoop(e *Engine, index int) *loop {
	l := &loop{engine: e, index: index, shard: e.hub.Shard(index), transports: e.transports, queued: make(map[uint32]uint16)}
	e.byIndex[index] = l
	l.wheel.conns = &l.conns
	l.counters.closed = make(map[wsproto.StatusCode]uint64)
	l.counters.closedEvents = make(map[wsproto.StatusCode]uint64)
	l.inflating = wsproto.Config{
		MaxMessage: e.frames.MaxMessage, Inflater: &l.inflater,
		// Any smaller window is within these.
		Deflate: wsproto.Deflate{ServerWindowBits: wsproto.MaxWindowBits, ClientWindowBits: wsproto.MaxWindowBits},
	}
	l.tasks.tick = l.task(l.onTick)
	l.tasks.fanOut = l.task(l.fanOut)
	l.tasks.expire = l.task(l.expireTimers)
	l.tasks.end = l.task(l.endConnections)
	l.tasks.keys = l.task(func() { l.fetches++; l.judgeAsking() })
	l.tasks.turns = l.task(l.runTurns)
	l.tasks.sweep = l.task(func() { l.sweepDue = false; l.sweep() })
	return l
}

// stalledTicks is the number of ticks that may be missing before the loop counts as stalled. Chosen by us.
const stalledTicks = 5

// onTick runs ten times a second.
func (l *loop) onTick() {
	waited := time.Since(l.engine.started) - time.Duration(l.posted.Load())
	l.lag.Store(int64(waited))
	l.ticking.Store(false)
	before := l.now
	l.now = l.engine.tick()
	l.wheel.advance(l.now)
	// If the loop stood still, the input that came meanwhile must be read before clients are judged by their silence.
	l.stalled = l.now-before > stalledTicks && !l.stalled
	if !l.stalled && !l.expiring {
		l.expireTimers()
	}
	if l.held.len() > 0 {
		l.admitHeld(l.now - before)
	}
	if len(l.asking) > 0 {
		l.judgeAsking()
	}
	if l.engine.draining.Load() && !l.endDue && l.ending < l.conns.made {
		l.endConnections()
	}
	l.sweep()
	l.forgetCiphers()
	if !l.engine.draining.Load() { // it goes by slots
		l.shrinkTables()
	}
	l.counters.publish(&l.tally)
}

// shrinkTables gives the memory of the tables of connections back after most of them have ended: its own, the shard's, and gnet's as
// soon as there is a connection that leads to it.
func (l *loop) shrinkTables() {
	t := &l.conns
	if made := t.shrink(); made > 0 {
		l.shard.Drop(made)
		t.gnets = true
	}
	if open := int(t.made) - len(t.free); !t.gnets || open == 0 || open > copiedAtOnce {
		return
	}
	t.gnets = false
	for slot := range t.made {
		if c := t.At(slot); c.gc != nil {
			shrinkTableOf(c.gc)
			return
		}
	}
}

// copiedAtOnce is the largest number of connections whose table is copied: about a millisecond. Chosen by us.
const copiedAtOnce = 4096

// expireTimers runs expired timers, in slices. A tick in between does not schedule a second continuation: two of them would run
// one after the other without a look at the sockets.
func (l *loop) expireTimers() {
	l.doing.begin(doesTimers)
	l.expiring = l.runExpired(time.Now().Add(l.engine.cfg.Slice))
	if l.expiring {
		l.continueWith(l.tasks.expire)
	}
}

// scheduleFanOut schedules a fan-out, unless one is scheduled. Any goroutine may call it.
func (l *loop) scheduleFanOut() {
	if l.due.CompareAndSwap(false, true) {
		l.post(l.tasks.fanOut)
	}
}

// fanOut drains the shard's mailbox, in slices. The shard wakes the loop again only after Drain has returned false, so a panic
// must not end the slices.
func (l *loop) fanOut() {
	l.due.Store(false)
	more := true
	defer func() {
		if more && l.due.CompareAndSwap(false, true) {
			l.continueWith(l.tasks.fanOut)
		}
	}()
	more = l.drain()
	if len(l.behind) > 0 && time.Since(l.lastSweep) > sweepInterval {
		l.sweep()
	}
	if !more {
		l.counters.publish(&l.tally)
	}
}

// drain does a slice of the fan-out, and reports whether more is left.
func (l *loop) drain() (more bool) {
	l.doing.begin(doesFanOut)
	defer func() { l.drained = time.Now() }()
	return l.shard.Drain(l.engine.cfg.Slice)
}

// interleave does a slice of a fan-out that is scheduled, if the last one is longer ago than a slice. Each call of gnet has a place
// for it: gnet comes to the tasks of a loop only when it is through with the sockets that were ready before, which may be
// thousands that have all ended.
func (l *loop) interleave() {
	if l.inside == 0 && l.due.Load() && time.Since(l.drained) > l.engine.cfg.Slice {
		defer l.recover(nil)
		defer l.enter().leave()
		l.drain() // the task comes nevertheless
	}
}
