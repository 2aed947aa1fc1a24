package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"tickcast/loadtest/machine"
)

// A Fleet is a set of clients of one server, opened and read by a few workers. Create it with [Start]. Any goroutine may
// call its methods.
type Fleet struct {
	common
	workers   []*worker
	detach    func() bool // detaches the fleet from Start's context
	shutOnce  sync.Once
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Start opens the fleet's connections and returns at once; WaitOpen waits for them. The fleet runs until Close is
// called or ctx ends, whichever comes first; Close must be called in any case. After an error no connection was opened:
// a bad configuration, an address that does not resolve, or a [*LimitError].
func Start(ctx context.Context, cfg Config) (*Fleet, error) { return StartAccounted(ctx, cfg, nil) }

// StartAccounted is Start for a fleet whose messages are accounted for, unless account is nil.
func StartAccounted(ctx context.Context, cfg Config, account *Account) (*Fleet, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	f := &Fleet{}
	if err := f.configure(ctx, cfg, account); err != nil {
		return nil, err
	}
	workers := min(cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0)), cfg.Conns)
	inFlight := cmp.Or(cfg.InFlight, defaultInFlight)
	for id := range workers {
		w, err := newWorker(&f.common, id, workers, max(1, inFlight/workers), account)
		if err != nil {
			for _, w := range f.workers {
				w.release()
			}
			return nil, err
		}
		f.workers = append(f.workers, w)
	}
	for _, w := range f.workers {
		f.running.Go(w.run)
	}
	f.detach = context.AfterFunc(ctx, f.shut)
	return f, nil
}

// WaitOpen waits until each client has opened or failed to, or Close has been called. It returns an error that lists
// the faults unless all have opened, or ctx's error.
func (f *Fleet) WaitOpen(ctx context.Context) error {
	if err := f.settled.wait(ctx, int64(f.conns)); err != nil {
		return fmt.Errorf("loadtest: wait for open connections: %w", err)
	}
	if t := f.Totals(); t.Opened < t.Conns {
		return fmt.Errorf("loadtest: %d of %d connections opened, faults: %s", t.Opened, t.Conns, t.FaultList())
	}
	return nil
}

// WaitSubscribed waits until the server has answered each client's subscribe command. It returns an error if one was refused
// or a client ended before its answer, or ctx's error. It waits for a server that never answers until ctx ends.
func (f *Fleet) WaitSubscribed(ctx context.Context) error {
	if err := f.answered.wait(ctx, int64(f.conns)); err != nil {
		return fmt.Errorf("loadtest: wait for subscriptions: %w", err)
	}
	if t := f.Totals(); t.Acked < t.Conns {
		return fmt.Errorf("loadtest: %d of %d subscriptions acknowledged, faults: %s", t.Acked, t.Conns, t.FaultList())
	}
	return nil
}

// WaitData waits until the clients together have received n data messages since the fleet began, or ctx ends.
func (f *Fleet) WaitData(ctx context.Context, n int64) error {
	if err := f.data.wait(ctx, n); err != nil {
		return fmt.Errorf("loadtest: wait for data message %d: %w", n, err)
	}
	return nil
}

// Totals returns the fleet's counts so far. The part of each worker is up to date to within one turn of its loop.
func (f *Fleet) Totals() Totals {
	t := Totals{Conns: f.conns, Faults: map[Fault]int{}}
	for _, w := range f.workers {
		w.mu.Lock()
		t.add(&w.published)
		for fault, n := range w.faults {
			t.Faults[fault] += n
		}
		w.mu.Unlock()
	}
	return t
}

// Latencies returns the latencies of the data messages so far, from their [Config].Stamp until their client had read them.
// Messages without a stamp are not counted.
func (f *Fleet) Latencies() Counts {
	parts := make([]Counts, len(f.workers))
	f.each(func(w *worker) {
		if w.stamped != nil {
			parts[w.id] = countsOf(w.stamped)
		}
	})
	var all Counts
	for _, c := range parts {
		all = all.Merge(c)
	}
	return all
}

// Sample returns the state of all workers. With topics it has the counts by topic as well. Only one goroutine at a time may
// call it.
func (f *Fleet) Sample(topics bool) Sample {
	parts := make([]Sample, len(f.workers))
	f.each(func(w *worker) { parts[w.id] = w.sample(topics) })
	s := parts[0]
	for i := 1; i < len(parts); i++ {
		s.Add(&parts[i])
	}
	s.Totals.Conns = f.conns
	s.Totals.Faults = f.Totals().Faults
	s.Usage = machine.OwnUsage()
	return s
}

// Storm makes a share of the open clients, 0 to 1, leave at once and come back as fast as they can. It returns their
// number.
func (f *Fleet) Storm(share float64) (n int) {
	left := make([]int, len(f.workers))
	f.each(func(w *worker) { left[w.id] = w.storm(share) })
	for _, k := range left {
		n += k
	}
	return n
}

// Churn makes clients leave and come back from now on, at a rate of clients a second.
func (f *Fleet) Churn(rate float64) {
	f.each(func(w *worker) { w.leaving = churn{rate: rate / float64(len(f.workers)), begun: time.Now()} })
}

// each makes every worker call do on its own goroutine, between two turns of its loop, and waits for all of them.
func (f *Fleet) each(do func(w *worker)) {
	var all sync.WaitGroup
	for _, w := range f.workers {
		all.Go(func() {
			done := make(chan struct{})
			select {
			case w.orders <- func() { do(w); close(done) }:
				w.wakeUp()
				select {
				case <-done:
				case <-w.ended:
					// The worker ended between two orders, so its state has no owner now.
					select {
					case <-done:
					case order := <-w.orders:
						order()
					}
				}
			case <-w.ended:
				do(w)
			}
		})
	}
	all.Wait()
}

// Close ends all connections, open ones with a closing handshake, and returns when the workers have ended. It waits up to 3
// s for the server's answers. Totals remains usable. The error is that of a worker that had to stop early.
func (f *Fleet) Close() error {
	f.closeOnce.Do(func() {
		f.detach()
		f.shut()
		f.running.Wait()
		for _, w := range f.workers {
			f.closeErr = errors.Join(f.closeErr, w.err)
			w.release()
		}
	})
	return f.closeErr
}

// shut makes the workers end. When it returns all of them have been woken, by this or another goroutine.
func (f *Fleet) shut() {
	f.shutOnce.Do(func() {
		f.closing.Store(true)
		for _, w := range f.workers {
			w.wakeUp()
		}
	})
}
