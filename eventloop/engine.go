package eventloop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// An Engine accepts connections and serves them from its loops. It is used once: New, then Run.
type Engine struct {
	gnet.BuiltinEventEngine

	// Immutable after New.
	cfg            Config
	hub            *broadcast.Hub
	log            *slog.Logger
	started        time.Time
	times          loopTimes
	requests       wsproto.RequestLimits
	frames         wsproto.Config // for clients that do not compress
	deflater       *wsproto.Deflater
	pages          map[string]*page
	maxConnections int64
	reserve        int64 // descriptors kept for other things than admitted connections

	// Any goroutine.
	connections atomic.Int64 // open ones, refused ones included
	refused     atomic.Int64 // of these, for want of room
	draining    atomic.Bool
	accepting   acceptState
	ready       chan struct{} // closed when the loops run
	empty       chan struct{} // closed when draining and the last connection is gone
	emptied     sync.Once

	// Written once, before ready is closed.
	gnet   gnet.Engine
	addrs  []string
	failed error // why OnBoot gave up

	mu    sync.Mutex
	loops []*loop // those that have shown themselves
}

// New checks cfg and returns an engine whose loops use the shards of hub, which must be cfg.Loops of them. It fails when
// the limit of open files does not allow cfg.MaxConnections.
func New(cfg Config, hub *broadcast.Hub) (*Engine, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Slice <= 0 {
		cfg.Slice = 2 * time.Millisecond
	}
	if cfg.Loops < 1 {
		return nil, errors.New("eventloop: at least one loop is needed")
	}
	cfg.InputBytes = max(cfg.InputBytes, 64<<10)
	cfg.EchoQueueBytes = max(cfg.EchoQueueBytes, 2*(cfg.MaxMessageSize+answersAtOnce))
	maxConnections, reserve, err := connectionLimit(cfg.MaxConnections)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, hub: hub, log: cfg.Log, started: time.Now(),
		times: loopTimes{
			handshake: ticks(cfg.HandshakeTimeout), first: ticks(cfg.FirstMessageTimeout), closing: ticks(cfg.CloseTimeout),
			heartbeat: ticks(cfg.Heartbeat), ping: ticks(cfg.PingInterval), idle: ticks(cfg.IdleTimeout),
		},
		requests:       wsproto.RequestLimits{MaxBytes: cfg.MaxHeaderSize},
		frames:         wsproto.Config{MaxMessage: int64(cfg.MaxMessageSize)},
		deflater:       cmp.Or(cfg.Compression.Deflater, wsproto.NewDeflater(1)),
		pages:          make(map[string]*page, len(cfg.Pages)),
		maxConnections: maxConnections, reserve: reserve,
		ready: make(chan struct{}), empty: make(chan struct{}),
	}
	for _, p := range cfg.Pages {
		e.pages[p.Path] = newPage(p)
	}
	return e, nil
}

// Run listens and serves until ctx is done; then every client is sent close code 1001, and Run returns when all are gone
// or after grace. It fails when an address cannot be listened on, or when gnet stops for a reason of its own.
func (e *Engine) Run(ctx context.Context, grace time.Duration) error {
	surviveAcceptErrors()
	urls := make([]string, len(e.cfg.Listen))
	for i, a := range e.cfg.Listen {
		urls[i] = listenURL(a)
	}
	stopped := make(chan error, 1)
	go func() {
		stopped <- gnet.Rotate(e, urls, gnet.WithOptions(gnet.Options{
			NumEventLoop:     e.cfg.Loops,
			LB:               gnet.LeastConnections,
			LockOSThread:     e.cfg.LockOSThread,
			ReuseAddr:        true,
			SocketSendBuffer: e.cfg.SendBuffer,
			ReadBufferCap:    readBufferCap,
			WriteBufferCap:   writeBufferCap,
			Ticker:           true,
			Logger:           gnetLogger{e},
		}))
	}()
	select {
	case err := <-stopped:
		return e.stoppedEarly(err)
	case <-ctx.Done():
	}
	select {
	case <-e.ready:
	case err := <-stopped:
		return e.stoppedEarly(err)
	}
	e.log.Info("stopping: clients are told to go; a second signal ends at once", "connections", e.connections.Load(), "at most", grace)
	if e.drain(grace) {
		e.log.Info("all connections are closed")
	} else {
		e.log.Warn("connections were cut off", "connections", e.connections.Load())
	}
	e.stop()
	return <-stopped
}

// readBufferCap is how much is read from one connection before the others have their turn.
const readBufferCap = 16 << 10

// writeBufferCap is how much gnet keeps for one connection in a ring before it changes to a list of chunks.
const writeBufferCap = 2 << 10

func (e *Engine) stoppedEarly(err error) error {
	if err == nil {
		err = e.failed
	}
	if err == nil {
		err = errors.New("the engine stopped without being asked")
	}
	select {
	case <-e.ready:
		return fmt.Errorf("eventloop: %w", err)
	default:
		return fmt.Errorf("eventloop: listen on %s: %w", strings.Join(e.cfg.Listen, ", "), err)
	}
}

// Ready is closed once connections are served.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Addrs returns the addresses that are listened on, "host:port". It may be called once Ready is closed.
func (e *Engine) Addrs() []string { return e.addrs }

// Connections returns how many are open, in any state.
func (e *Engine) Connections() int64 { return e.connections.Load() }

// Draining reports whether the engine is about to end.
func (e *Engine) Draining() bool { return e.draining.Load() }

// Lag returns the longest time for which a loop has not got round to its tick.
func (e *Engine) Lag() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	var longest time.Duration
	for _, l := range e.loops {
		longest = max(longest, l.lagNow())
	}
	return longest
}

// tick is the engine's clock.
func (e *Engine) tick() uint32 { return uint32(time.Since(e.started) / tick) }

// OnBoot is called when gnet listens but its loops do not exist yet.
func (e *Engine) OnBoot(g gnet.Engine) gnet.Action {
	e.gnet = g
	addrs, err := e.tuneListeners(g)
	if err != nil {
		e.failed = fmt.Errorf("set up the listening sockets: %w", err)
		return gnet.Shutdown
	}
	e.addrs = addrs
	return gnet.None
}

// OnTick is called on a goroutine of gnet's, first when the loops run.
func (e *Engine) OnTick() (time.Duration, gnet.Action) {
	select {
	case <-e.ready:
	default:
		close(e.ready)
	}
	e.mu.Lock()
	loops := e.loops
	e.mu.Unlock()
	for _, l := range loops {
		if l.ticking.CompareAndSwap(false, true) {
			l.posted.Store(int64(time.Since(e.started)))
			l.post(l.tasks.tick)
		}
	}
	e.pokeListeners()
	return tick, gnet.None
}

// OnOpen is called on its loop for each accepted connection.
func (e *Engine) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	if end, ok := gc.Context().(*pokeEnd); ok {
		end.opened()
		return nil, gnet.None
	}
	l := e.loopOf(gc.EventLoop())
	if l == nil {
		return nil, gnet.Close
	}
	l.check()
	defer l.recover(nil)
	return nil, l.open(gc)
}

// OnClose is called on its loop for each connection that ends, whoever ended it.
func (e *Engine) OnClose(gc gnet.Conn, _ error) gnet.Action {
	switch c := gc.Context().(type) {
	case *conn:
		c.loop.check()
		defer c.loop.recover(nil)
		c.loop.closed(c)
	case *pokeEnd:
		c.closed()
	}
	return gnet.None
}

// loopOf returns the loop behind el. gnet has no list of its loops: one is known from its first connection on, and before
// that it has nothing to do.
func (e *Engine) loopOf(el gnet.EventLoop) *loop {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.loops {
		if l.el == el {
			return l
		}
	}
	if len(e.loops) == e.cfg.Loops {
		return nil // cannot be: gnet runs as many as it was told
	}
	l := newLoop(e, len(e.loops))
	l.el = el
	l.now = e.tick()
	l.wheel.now = l.now
	l.shard.Attach(l, func() { l.post(l.tasks.drain) })
	l.poke = newPoke(l)
	e.loops = append(e.loops, l)
	return l
}
