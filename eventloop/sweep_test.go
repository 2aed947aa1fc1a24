package eventloop

import (
	"testing"
	"time"

	"tickcast/broadcast"
)

// A sweep whose slice is over leaves the other drained sockets to the next one, which begins with them.
func TestSweepHasASlice(t *testing.T) {
	const clients = 20
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Loops, c.Slice = 1, time.Nanosecond })
	for range clients {
		s.open("topics=a")
	}
	s.onLoops(func(l *loop) {
		var order []uint32
		for slot := range l.conns.made {
			if c := l.conns.At(slot); c.state == stateOpen {
				order = append(order, slot)
				l.listBehind(c)
			}
		}
		if len(order) != clients {
			t.Errorf("%d clients", len(order))
			return
		}
		for n, slot := range order {
			l.sweepDue = false
			l.sweep()
			if left := clients - n - 1; l.conns.At(slot).flags&flagBehind != 0 || l.sweepDue != (left > 0) {
				t.Errorf("sweep %d: %d are left, another sweep is scheduled: %v", n, left, l.sweepDue)
			}
			if n < clients/2 { // full and drained again: it comes behind those that wait
				l.listBehind(l.conns.At(slot))
				order = append(order, slot)
			}
			if n == clients/2 {
				break
			}
		}
		if next := order[clients/2+1]; l.behind[0] != next {
			t.Errorf("slot %d is next, want %d", l.behind[0], next)
		}
	})
	eventually(t, "all had their turn", func() (done bool) {
		s.onLoops(func(l *loop) { done = len(l.behind) == 0 })
		return done
	})
}
