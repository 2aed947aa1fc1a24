package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Subprotocol is what each client offers in its opening handshake.
const Subprotocol = "tickcast.v1.json"

// Defaults of [FleetConfig].
const (
	defaultInFlight = 256
	defaultTimeout  = 10 * time.Second

	// closeGrace is how long Close waits for the server's side of the closing handshakes.
	closeGrace = 3 * time.Second

	// spareDescriptors are left to the process besides the clients' sockets.
	spareDescriptors = 64
)

// FleetConfig says which clients a [Fleet] opens and how fast.
type FleetConfig struct {
	// URL of the stream, ws://host:port/path. TLS (wss) is not supported.
	URL string

	// Conns is the number of connections to open, at least 1.
	Conns int

	// Ramp is how many connections are started a second. Zero: as fast as InFlight allows.
	Ramp int

	// InFlight bounds the connections between connect(2) and the server's 101, so that the server's accept queue
	// does not overflow. Zero: 256.
	InFlight int

	// Workers is the number of goroutines that share the connections. Zero: GOMAXPROCS.
	Workers int

	// Topics are dealt out round robin: client i subscribes to Topics[i%len(Topics)].
	Topics []string

	// Subscribe is the text message that a client sends once it is open. {i} stands for the client's index from 0,
	// {topic} for its topic, inserted as it is. Empty: [DefaultSubscribe], or nothing if there are no Topics.
	Subscribe string

	// Timeout is how long one connection may take from connect(2) to the server's 101. Zero: 10 s.
	Timeout time.Duration

	// Pause is how long a worker, once all its connections are open, lets arrivals collect after it has handled some.
	// Zero: not at all, which gives the best latencies. On a machine that the server shares, a pause keeps the server's
	// writes from waking the fleet one by one, a cost that remote clients would not cause. LastData is late by up to
	// the pause.
	Pause time.Duration

	// Sources are the local addresses to connect from; each is used until its ports run short, then the next. Empty:
	// the kernel's choice while the ports of one address suffice; beyond that 127.0.0.2 and its successors if the
	// server is on 127.0.0.0/8, else an error.
	Sources []netip.Addr
}

// A Fleet is a set of clients of one server, opened and read by a few workers. Create it with [Start].
// All methods may be called from any goroutine.
type Fleet struct {
	// Immutable after Start.
	conns     int
	ramp      int
	timeout   time.Duration
	pause     time.Duration
	target    target
	sources   sources
	subscribe template
	topics    []string
	seed      uint64
	begun     time.Time
	begunAt   int64 // the same moment on CLOCK_MONOTONIC
	workers   []*worker
	detach    func() bool // stops listening to Start's context

	// Any goroutine.
	settled   tally // clients that are open or failed
	answered  tally // clients whose subscription was answered, or which ended before
	data      tally // data messages
	closing   atomic.Bool
	shutOnce  sync.Once
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// A LimitError says that the process may not open enough descriptors (RLIMIT_NOFILE).
type LimitError struct {
	Need, Have uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("loadtest: %d file descriptors needed, the limit is %d", e.Need, e.Have)
}

// Start opens the fleet's connections and returns at once; WaitOpen waits for them. The fleet runs until Close is
// called or ctx ends, whichever comes first; Close must be called in any case. An error means that nothing was opened:
// a bad configuration, an address that does not resolve, or a [*LimitError].
func Start(ctx context.Context, cfg FleetConfig) (*Fleet, error) {
	if cfg.Conns < 1 || cfg.Ramp < 0 || cfg.InFlight < 0 || cfg.Workers < 0 || cfg.Timeout < 0 || cfg.Pause < 0 {
		return nil, errors.New("loadtest: Conns must be at least 1, and no number negative")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("loadtest: read RLIMIT_NOFILE: %w", err)
	}
	if need := uint64(cfg.Conns) + spareDescriptors; need > limit.Cur {
		return nil, &LimitError{Need: need, Have: limit.Cur}
	}
	f := &Fleet{
		conns:     cfg.Conns,
		ramp:      cfg.Ramp,
		timeout:   orDefault(cfg.Timeout, defaultTimeout),
		pause:     cfg.Pause,
		topics:    cfg.Topics,
		subscribe: parseTemplate(cfg.Subscribe, cfg.Topics),
		seed:      rand.Uint64(),
		begun:     time.Now(),
	}
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock); err != nil {
		return nil, fmt.Errorf("loadtest: read the clock: %w", err)
	}
	f.begunAt = clock.Nano()
	var err error
	if f.target, err = resolveTarget(ctx, cfg.URL); err != nil {
		return nil, err
	}
	if f.sources, err = planSources(cfg, f.target.addr.Addr()); err != nil {
		return nil, err
	}
	workers := min(orDefault(cfg.Workers, runtime.GOMAXPROCS(0)), cfg.Conns)
	inFlight := orDefault(cfg.InFlight, defaultInFlight)
	for id := range workers {
		w, err := newWorker(f, id, workers, max(1, inFlight/workers))
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

// now returns CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share. Package time reads the same clock
// without a system call but does not show its value, so its difference is added to what was read at Start.
func (f *Fleet) now() int64 { return f.begunAt + int64(time.Since(f.begun)) }

// orDefault returns v, or def if v is zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
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

// WaitSubscribed waits until the server has answered each client's subscribe command. It returns an error if one was
// refused or a client ended before its answer, or ctx's error. A server that never answers is waited for until ctx ends.
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

// Totals returns what the fleet has seen so far. The parts that its workers contribute are each up to date to within
// one round of their loops.
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

// Client returns what client i, counted from 0, received. Only after Close: until then its worker owns it.
func (f *Fleet) Client(i int) Ledger {
	n := len(f.workers)
	return f.workers[i%n].clients[i/n].ledger
}

// Close ends all connections, open ones with a closing handshake, and returns when the workers have ended. The server
// is given 3 s to answer. Totals remains usable. The error is that of a worker which had to stop early.
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

// shut tells the workers to end. When it returns all of them have been woken, whichever goroutine did it.
func (f *Fleet) shut() {
	f.shutOnce.Do(func() {
		f.closing.Store(true)
		for _, w := range f.workers {
			w.wakeUp()
		}
	})
}
