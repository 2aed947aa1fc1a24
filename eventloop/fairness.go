package eventloop

import (
	"bytes"
	"runtime"
	"time"
)

// A round is the account of a loop's time for input of all clients together. Spent time comes back as time passes in which
// the loop does other things, or at once when the loop has looked at all its sockets.
type round struct {
	spent time.Duration
	last  time.Time // when input was handled last
}

// begin returns the time that is left of share for input that is handled now.
func (r *round) begin(share time.Duration) (now time.Time, left time.Duration) {
	now = time.Now()
	r.spent = max(r.spent-now.Sub(r.last), 0)
	return now, share - r.spent
}

// end notes that input was handled since begin.
func (r *round) end(begin time.Time) {
	r.last = time.Now()
	r.spent += r.last.Sub(begin)
}

// A fifo is a queue of connections.
type fifo[T any] struct {
	list  []T
	first int // index into list
}

func (q *fifo[T]) len() int { return len(q.list) - q.first }

func (q *fifo[T]) push(e T) { q.list = append(q.list, e) }

func (q *fifo[T]) head() T { return q.list[q.first] }

func (q *fifo[T]) pop() (e T) {
	e = q.list[q.first]
	if q.first++; q.first > len(q.list)/2 { // each entry is moved once at most
		left := copy(q.list, q.list[q.first:])
		clear(q.list[left:])
		q.list = q.list[:left]
		q.first = 0
	}
	return e
}

// receive handles input of c's client, or keeps it until its turn: a few bytes can ask for much work, and many clients may
// send at once. The time for all of them between two looks at the sockets is Config.Slice.
func (l *loop) receive(c *conn, b []byte) {
	begin, left := l.round.begin(l.engine.cfg.Slice)
	if left <= 0 || c.extra != nil && len(c.extra.input) > 0 {
		l.postponeInput(c, b)
		return
	}
	l.handleShare(c, b, left)
	l.round.end(begin)
}

// handleShare handles input of c's client for its share of the time that is left in the round.
func (l *loop) handleShare(c *conn, b []byte, left time.Duration) {
	l.share = min(l.inputShare(), left)
	l.shard.SetLate(l.waiting.len() > 0)
	l.row(c).read(l, c, b)
	l.shard.SetLate(false)
}

// leaveShard takes c out of the shard if it is a member. The ends of connections are input too: a thousand clients may leave at
// once, and the shard postpones the rest once the round is over.
func (l *loop) leaveShard(c *conn) {
	if !l.row(c).subscriber {
		return
	}
	begin, left := l.round.begin(l.engine.cfg.Slice)
	l.shard.SetLate(left <= 0)
	l.shard.Leave(c.slot)
	l.shard.SetLate(false)
	l.round.end(begin)
}

// inputShare is the longest time for which one client may keep the loop: Config.Slice, and a part of it while others wait for
// their turn.
func (l *loop) inputShare() time.Duration {
	return l.engine.cfg.Slice / time.Duration(min(l.waiting.len()+1, 8))
}

// postponeInput keeps input of c's client until its turn: a few bytes can ask for much work, above all compressed ones.
func (l *loop) postponeInput(c *conn, b []byte) {
	if c.extra == nil {
		c.extra = new(extra)
	}
	row := l.row(c)
	switch x, stalls, size := c.extra, l.stalls(c), len(c.extra.input)+len(b); {
	case size > min(2*row.queueBytes, row.inputBytes) && l.keepsUnread(c):
		l.endFlooding(c, StatusSlowConsumer, "answers are not read")
	case size > row.inputBytes:
		if c.state == stateRequest { // pipelines more requests than are answered
			l.rejected[rejectNotReading]++
			l.drop(c)
			return
		}
		l.fail(c, StatusInboundRate, "more than can be handled")
	case len(x.input) > 0:
		l.counters.inputBytes.Add(int64(len(b)))
		x.input = append(x.input, b...)
	default:
		l.counters.inputBytes.Add(int64(len(b)))
		x.input = bytes.Clone(b)
		if x.stalled = stalls; !stalls {
			l.waiting.push(c.slot)
			l.scheduleTurns()
		}
	}
}

// goOnInput gives c a turn if its input has waited for the socket, which has taken all.
func (l *loop) goOnInput(c *conn) {
	if x := c.extra; x != nil && x.stalled {
		x.stalled = false
		l.waiting.push(c.slot)
		l.scheduleTurns()
	}
}

// scheduleTurns schedules the turns of the waiting connections, after the loop has looked at its sockets.
func (l *loop) scheduleTurns() {
	if l.waiting.len() > 0 && !l.turnDue {
		l.turnDue = true
		l.continueWith(l.tasks.turns)
	}
}

// runTurns runs the turns of the waiting connections, one after the other, for a slice in all.
func (l *loop) runTurns() {
	runtime.Gosched() // with as many loops as processors, the goroutines that bring messages would wait for Go to preempt a loop
	l.doing.begin(doesTurns)
	l.turnDue = false
	defer l.scheduleTurns()
	l.round = round{last: time.Now()} // the loop has looked at its sockets
	for n := l.waiting.len(); n > 0; n-- {
		begin, left := l.round.begin(l.engine.cfg.Slice)
		if left <= 0 {
			break
		}
		l.runTurn(l.conns.At(l.waiting.pop()), left)
		l.round.end(begin)
	}
}

// runTurn handles input of c that has waited. Its slot may belong to another connection by now, which has no such input, or a
// place of its own in loop.waiting.
func (l *loop) runTurn(c *conn, left time.Duration) {
	if c.extra == nil || len(c.extra.input) == 0 {
		return
	}
	if l.stalls(c) {
		c.extra.stalled = true
		return
	}
	if l.busy(c) {
		l.waiting.push(c.slot)
		return
	}
	defer l.recover(c)
	b := c.extra.input
	c.extra.input = nil
	l.counters.inputBytes.Add(-int64(len(b)))
	c.heard = l.now
	l.handleShare(c, b, left)
	if x := c.extra; x != nil && x.request == nil && x.input == nil && x.poll == nil && !x.decoding.Deflate.Agreed() {
		c.extra = nil // an idle connection holds no buffer
	}
}
