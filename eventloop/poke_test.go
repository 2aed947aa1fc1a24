package eventloop

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/panjf2000/gnet/v2"
)

// gnet's end of the socket pair arrives. Tasks that a loop puts off run in their order, each once.
func TestLoopComesBackToItself(t *testing.T) {
	s := start(t)
	s.open("")
	eventually(t, "gnet has its ends", func() bool {
		there := true
		s.onLoops(func(l *loop) { there = there && l.poke.fd >= 0 })
		return there
	})
	const tasks = 1000
	var ran, loops, wrong atomic.Int64
	s.onLoops(func(l *loop) {
		loops.Add(1)
		next := 0
		for i := range tasks {
			l.continueWith(gnet.RunnableFunc(func(context.Context) error {
				l.owner.Check(foreign)
				if next != i {
					wrong.Add(1)
				}
				next++
				ran.Add(1)
				return nil
			}))
		}
		if next != 0 {
			wrong.Add(1) // no task runs at once
		}
	})
	eventually(t, "all tasks have run", func() bool { return ran.Load() == tasks*loops.Load() })
	if wrong.Load() != 0 || loops.Load() == 0 {
		t.Errorf("%d of %d tasks were out of order", wrong.Load(), ran.Load())
	}
}
