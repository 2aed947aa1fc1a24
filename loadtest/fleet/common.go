package fleet

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tickcast/loadtest/machine"
)

// A tally is a growing number that goroutines can wait for.
type tally struct {
	n    atomic.Int64
	next atomic.Int64 // the smallest number waited for, 0 if none

	mu      sync.Mutex
	waiting []tallyWait
}

type tallyWait struct {
	n       int64
	reached chan struct{}
}

// add adds d. Its cost without a waiter is two atomic operations.
func (t *tally) add(d int) {
	n := t.n.Add(int64(d))
	if next := t.next.Load(); next != 0 && n >= next {
		t.mu.Lock()
		t.release()
		t.mu.Unlock()
	}
}

// release wakes the waiters whose number is reached. The caller holds mu.
func (t *tally) release() {
	n, next := t.n.Load(), int64(0)
	t.waiting = slices.DeleteFunc(t.waiting, func(w tallyWait) bool {
		if n >= w.n {
			close(w.reached)
			return true
		}
		if next == 0 || w.n < next {
			next = w.n
		}
		return false
	})
	t.next.Store(next)
}

// wait returns nil once the tally is at least n, or ctx's error.
func (t *tally) wait(ctx context.Context, n int64) error {
	w := tallyWait{n, make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	if next := t.next.Load(); next == 0 || n < next {
		t.next.Store(n)
	}
	// Subtle: n is read after next is set. So an add in between either sees next, or its result is seen here.
	t.release()
	t.mu.Unlock()
	select {
	case <-w.reached:
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		t.waiting = slices.DeleteFunc(t.waiting, func(o tallyWait) bool { return o.reached == w.reached })
		t.release()
		t.mu.Unlock()
		return ctx.Err()
	}
}

// A common is the part of a fleet that its workers share: the configuration in the form that they need, and the numbers to
// wait for. It has so many fields since most of them are the configuration.
type common struct {
	// Immutable after Start.
	conns      int
	ramp       float64
	timeout    time.Duration
	pause      time.Duration
	targets    Targets
	sources    sources
	subscribe  template
	topics     []string
	deaf       bool
	receive    int    // SO_RCVBUF, 0 if it is not set
	stamp      []byte // the bytes before a message's time of sending, nil without a stamp
	ack        []byte // part of the answer to subscribe, nil for Tickcast's
	acks       bool   // there is an answer to subscribe
	prefix     []byte // the first bytes of data messages, nil for Tickcast's
	answer     []byte
	answerWith []byte
	slowRate   int
	seed       uint64 // of the handshakes
	plan       assignment
	steps      []Step
	first      int
	stride     int
	begun      time.Time
	begunAt    int64 // the same moment on CLOCK_MONOTONIC

	// Any goroutine.
	settled  tally // clients that are open or failed
	answered tally // clients whose subscription was answered, or that ended before
	data     tally // data messages
	closing  atomic.Bool
}

// now returns CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share. Package time reads the same clock
// without a system call but hides its value, so now adds the difference to the value that Start has read.
func (c *common) now() int64 { return c.begunAt + int64(time.Since(c.begun)) }

// A LimitError means that the limit of open descriptors of this process (RLIMIT_NOFILE) is too low.
type LimitError struct {
	Need, Have uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("loadtest: %d file descriptors needed, the limit is %d", e.Need, e.Have)
}

// configure sets all fields except the tallies. Its errors are those of [Start].
func (c *common) configure(ctx context.Context, cfg Config, account *Account) error {
	limits, err := machine.ReadLimits()
	if err != nil {
		return err
	}
	if need := uint64(cfg.Conns) + machine.SpareDescriptors; need > limits.Descriptors {
		return &LimitError{Need: need, Have: limits.Descriptors}
	}
	c.conns = cfg.Conns
	c.ramp = cfg.Ramp
	c.steps = cfg.Steps
	c.first = cfg.First
	c.stride = cmp.Or(cfg.Stride, 1)
	c.plan = newAssignment(cfg)
	c.slowRate = cmp.Or(cfg.SlowRate, defaultSlowRate)
	c.timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	c.pause = cfg.Pause
	c.topics = cfg.Topics
	c.deaf = cfg.Deaf
	c.receive = cfg.ReceiveBuffer
	c.stamp = stampOf(cfg.Stamp)
	c.subscribe = parseTemplate(cfg.Subscribe, cfg.Topics)
	c.seed = rand.Uint64()
	c.begun = time.Now()
	c.begunAt = machine.Monotime()
	if account != nil && account.Begun != 0 {
		c.begun = c.begun.Add(time.Duration(account.Begun - c.begunAt))
		c.begunAt = account.Begun
	}
	if cfg.Ack != "" {
		c.ack = []byte(cfg.Ack)
	}
	c.acks = len(c.subscribe) > 0 && (cfg.Ack != "" || strings.HasPrefix(c.subscribe[0].text, ownCommand))
	if cfg.Data != "" {
		c.prefix = []byte(cfg.Data)
	}
	if cfg.Answer != "" {
		c.answer, c.answerWith = []byte(cfg.Answer), []byte(cfg.AnswerWith)
	}
	if c.targets, err = Resolve(ctx, cfg); err != nil {
		return err
	}
	c.sources, err = planSources(cfg, c.targets, limits.PortsPerPair())
	return err
}
