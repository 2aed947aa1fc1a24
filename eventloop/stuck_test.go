package eventloop

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
)

// A journal is a log that other goroutines write.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// A loop that does not answer is told with its work, and does not keep Run from returning.
func TestStuckLoop(t *testing.T) {
	var log journal
	s, err := launch(0, func(c *Config, _ *broadcast.Config) {
		c.Loops, c.Log = 1, slog.New(slog.NewTextHandler(&log, nil))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	s.open("topics=a").expect(`{"op":"ack"`)
	freed, stands := make(chan struct{}), make(chan struct{})
	l := s.engine.shownLoops()[0]
	l.post(l.task(func() {
		l.fanOut()
		close(stands)
		<-freed
	}))
	<-stands
	eventually(t, "the log tells of it", func() bool { return strings.Contains(log.String(), "does not answer") })
	for _, part := range []string{"loop=0", "began=fan-out", "TestStuckLoop"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log has no %q: %s", part, log.String())
		}
	}
	if what := s.engine.Stuck(stuckAfter / 2); !strings.Contains(what, "loop 0") || !strings.Contains(what, "fan-out") {
		t.Errorf("%q", what)
	}
	s.engine.stopWithin = stopPatience
	begin := time.Now()
	s.cancel()
	err = <-s.result
	if d := time.Since(begin); d > patience/2 || err == nil || !strings.Contains(err.Error(), "fan-out") {
		t.Errorf("after %v: %v", d, err)
	}
	close(freed)
	eventually(t, "gnet stops", func() bool { return s.engine.gnet.Validate() != nil })
}
