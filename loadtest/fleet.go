package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Subprotocol is what each client offers in its opening handshake, unless [FleetConfig] says otherwise.
const Subprotocol = "tickcast.v1.json"

// Defaults of [FleetConfig].
const (
	defaultInFlight = 256
	defaultTimeout  = 10 * time.Second
	defaultSlowRate = 1024

	// closeGrace is how long Close waits for the server's side of the closing handshakes.
	closeGrace = 3 * time.Second

	// spareDescriptors are left to the process besides the clients' sockets.
	spareDescriptors = 64
)

// FleetConfig says which clients a [Fleet] opens and how fast.
type FleetConfig struct {
	// URL of the stream, ws://host:port/path or wss://host:port/path; several separated by commas, among which the
	// clients are dealt out in turn. A port may be a range: ws://127.0.0.1:8000-8053/stream is 54 of them.
	URL string

	// Insecure leaves the certificates of wss servers unchecked. CA is a PEM file of those that sign them; empty: the
	// system's.
	Insecure bool
	CA       string

	// Subprotocols are offered in the opening handshake. Nil: [Subprotocol]; one that is empty: none.
	Subprotocols []string

	// Origin is sent as the header field of that name. Empty: it is left out.
	Origin string

	// Conns is the number of connections to open, at least 1.
	Conns int

	// Several fleets may share the clients of a run: client j of this one is number First + j*Stride of the run, by which
	// its server, source address, topics, cohort and time of start are found. Zero Stride: 1.
	First, Stride int

	// Seed decides which clients are in which cohort, and on which topic with Zipf. Fleets of a run have the same.
	Seed uint64

	// Ramp is how many connections of the run are started a second. Zero: as fast as InFlight allows.
	Ramp float64

	// Steps interrupt the ramp, in rising order of Conns.
	Steps []Step

	// InFlight bounds the connections between connect(2) and the server's 101, so that the server's accept queue
	// does not overflow. Zero: 256.
	InFlight int

	// Workers is the number of goroutines that share the connections. Zero: GOMAXPROCS.
	Workers int

	// Topics are dealt out round robin: client i subscribes to Topics[i%len(Topics)].
	Topics []string

	// TopicsPerConn is how many of Topics a client subscribes to, the one above and some that follow it, round the end
	// of the list. Neighbours in the list for the first len(Topics) clients; later ones take every n-th, another n for
	// each len(Topics) of them, so that sets overlap and few are equal. Zero: 1.
	TopicsPerConn int

	// Zipf draws the topics of a client with a probability that falls with their place in Topics, as 1/place^Zipf,
	// instead of dealing them out. Zero: it does not.
	Zipf float64

	// Subscribe is the text message that a client sends once it is open. {i} stands for the client's index from 0,
	// {topic} for its topic, inserted as it is; several have "," between them, quotation marks included.
	// Empty: [DefaultSubscribe], or nothing if there are no Topics.
	Subscribe string

	// Ack is what the server's answer to Subscribe contains. Empty: an ack of Tickcast's protocol if Subscribe is a
	// command of that; otherwise there is no answer to wait for.
	Ack string

	// Data is what data messages begin with. Empty: {"t":, as Tickcast's do.
	Data string

	// Answer is a message to which AnswerWith is sent whenever it comes, for servers that ping with messages: {} and {}, or
	// PING and PONG, each with the line end that belongs to it.
	Answer, AnswerWith string

	// Slow and HalfOpen are the shares of the clients, 0 to 1, that read no more than SlowRate bytes a second once
	// they are subscribed, and that neither read nor answer pings. That the server ends them is no fault.
	Slow, HalfOpen float64
	SlowRate       int

	// Probes is how many clients of the run, chosen at random, have the latency of their messages recorded. Zero: all.
	Probes int

	// Conns of the run; zero: those of this fleet. Only Probes needs it.
	RunConns int

	// Deaf clients read until their subscription is answered, and then no more until Close. That their connection broke
	// off is still noticed.
	Deaf bool

	// ReceiveBuffer is each socket's SO_RCVBUF in bytes. Zero: the kernel's choice.
	ReceiveBuffer int

	// Stamp is the name of a member of the data messages that holds the time of sending, CLOCK_MONOTONIC in
	// nanoseconds as a whole number: "at" for {"t":"px.A","s":1,"d":{"at":1234}}. The fleet keeps how long each message
	// took, see [Fleet.Latencies]. Empty: it does not.
	Stamp string

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
	conns      int
	ramp       float64
	timeout    time.Duration
	pause      time.Duration
	targets    []target
	sources    sources
	subscribe  template
	topics     []string
	deaf       bool
	receive    int    // SO_RCVBUF, 0 if it is not set
	stamp      []byte // what stands before a message's time of sending, nil if it is not looked for
	ack        []byte // what the answer to subscribe contains, nil for Tickcast's
	acks       bool   // there is an answer to subscribe
	prefix     []byte // what data messages begin with, nil for Tickcast's
	answer     []byte
	answerWith []byte
	slowRate   int
	seed       uint64 // of the handshakes
	plan       assignment
	steps      []Step
	first      int
	times      int // Stride
	begun      time.Time
	begunAt    int64 // the same moment on CLOCK_MONOTONIC
	workers    []*worker
	detach     func() bool // stops listening to Start's context

	// Any goroutine.
	settled   tally // clients that are open or failed
	answered  tally // clients whose subscription was answered, or which ended before
	data      tally // data messages
	latencies histogram
	closing   atomic.Bool
	shutOnce  sync.Once
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// check returns what is wrong with the numbers of cfg.
func (cfg *FleetConfig) check() error {
	switch {
	case cfg.Conns < 1 || min(cfg.InFlight, cfg.Workers, cfg.TopicsPerConn, cfg.ReceiveBuffer, cfg.First, cfg.Stride,
		cfg.SlowRate, cfg.Probes) < 0 || min(cfg.Timeout, cfg.Pause) < 0 || min(cfg.Ramp, cfg.Zipf, cfg.Slow, cfg.HalfOpen) < 0:
		return errors.New("loadtest: Conns must be at least 1, and no number negative")
	case cfg.TopicsPerConn > 1 && cfg.TopicsPerConn > len(cfg.Topics):
		return fmt.Errorf("loadtest: %d topics per connection, and only %d topics", cfg.TopicsPerConn, len(cfg.Topics))
	case cfg.Slow+cfg.HalfOpen > 1:
		return errors.New("loadtest: the shares of slow and half-open clients are more than all")
	}
	return nil
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
func Start(ctx context.Context, cfg FleetConfig) (*Fleet, error) { return start(ctx, cfg, nil) }

// start is Start for a fleet whose messages are accounted for, unless account is nil.
func start(ctx context.Context, cfg FleetConfig, account *accountConfig) (*Fleet, error) {
	if err := cfg.check(); err != nil {
		return nil, err
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
		steps:     cfg.Steps,
		first:     cfg.First,
		times:     orDefault(cfg.Stride, 1),
		plan:      newAssignment(cfg),
		slowRate:  orDefault(cfg.SlowRate, defaultSlowRate),
		timeout:   orDefault(cfg.Timeout, defaultTimeout),
		pause:     cfg.Pause,
		topics:    cfg.Topics,
		deaf:      cfg.Deaf,
		receive:   cfg.ReceiveBuffer,
		stamp:     stampOf(cfg.Stamp),
		subscribe: parseTemplate(cfg.Subscribe, cfg.Topics),
		seed:      rand.Uint64(),
		begun:     time.Now(),
	}
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock); err != nil {
		return nil, fmt.Errorf("loadtest: read the clock: %w", err)
	}
	f.begunAt = clock.Nano()
	if account != nil && account.Begun != 0 {
		f.begun = f.begun.Add(time.Duration(account.Begun - f.begunAt))
		f.begunAt = account.Begun
	}
	if cfg.Ack != "" {
		f.ack = []byte(cfg.Ack)
	}
	f.acks = len(f.subscribe) > 0 && (cfg.Ack != "" || strings.HasPrefix(f.subscribe[0].text, ownCommand))
	if cfg.Data != "" {
		f.prefix = []byte(cfg.Data)
	}
	if cfg.Answer != "" {
		f.answer, f.answerWith = []byte(cfg.Answer), []byte(cfg.AnswerWith)
	}
	var err error
	if f.targets, err = resolveTargets(ctx, cfg); err != nil {
		return nil, err
	}
	if f.sources, err = planSources(cfg, f.targets); err != nil {
		return nil, err
	}
	workers := min(orDefault(cfg.Workers, runtime.GOMAXPROCS(0)), cfg.Conns)
	inFlight := orDefault(cfg.InFlight, defaultInFlight)
	for id := range workers {
		w, err := newWorker(f, id, workers, max(1, inFlight/workers), account)
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

// Latencies returns how long the data messages took so far, from [FleetConfig].Stamp to when their client had read
// them. Messages without a stamp are not in it.
func (f *Fleet) Latencies() Latencies { return f.latencies.snapshot() }

// each has every worker call do on its own goroutine, between two turns of its loop, and waits until all have.
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
					// It ended between two orders, and nobody else is left to touch what it owned.
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
