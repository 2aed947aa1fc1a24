package eventloop

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// An activity is the kind of the work that a loop began last.
type activity uint32

const (
	doesNothing activity = iota
	doesInput
	doesTurns
	doesFanOut
	doesTimers
	doesSweep
	doesClose
	doesEnd
)

var activityNames = [...]string{
	"nothing yet", "input of a client", "input that has waited", "fan-out", "deadlines", "clients whose sockets were full",
	"the end of a connection", "the closing handshakes of all clients",
}

// A doing is the activity of a loop. The loop stores it, any goroutine may read it.
type doing struct{ atomic.Uint32 }

func (d *doing) begin(a activity) { d.Store(uint32(a)) }

func (d *doing) String() string { return activityNames[d.Load()] }

// stuckAfter is the time after which a loop that does not answer is logged. Chosen by us.
const stuckAfter = 2 * time.Second

// reportStuck logs the loops that have not answered for a while, once each time, with their present work. Only OnTick calls it.
func (e *Engine) reportStuck(loops []*loop) {
	for _, l := range loops {
		lag := l.lagNow()
		switch {
		case lag < stuckAfter && l.stuck:
			l.stuck = false
			e.log.Info("an event loop answers again", "loop", l.index)
		case lag >= stuckAfter && !l.stuck && l.ticking.Load():
			l.stuck = true
			e.log.Error("an event loop does not answer", "loop", l.index, "for", lag.Round(time.Millisecond),
				"began", l.doing.String(), "stacks", loopStacks())
		}
	}
}

// Stuck describes a loop that has not answered for a time, or returns "". Any goroutine may call it.
func (e *Engine) Stuck(since time.Duration) string {
	for _, l := range e.shownLoops() {
		if lag := l.lagNow(); lag > since {
			return fmt.Sprintf("event loop %d has not answered for %v; it began with: %s", l.index, lag.Round(time.Millisecond), &l.doing)
		}
	}
	return ""
}

// loopStacks returns the stacks of the event loops' goroutines. There are few goroutines, since no connection has one.
func loopStacks() string {
	b := make([]byte, 256<<10)
	b = b[:runtime.Stack(b, true)]
	var found []string
	for stack := range bytes.SplitSeq(b, []byte("\n\n")) {
		if bytes.Contains(stack, []byte("gnet/v2.(*eventloop)")) {
			found = append(found, string(stack))
		}
	}
	return strings.Join(found, "\n\n")
}
