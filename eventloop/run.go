package eventloop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// New checks cfg and returns an engine whose loops use the shards of hub, which must have cfg.Loops of them. It fails if the
// limit of open files does not allow cfg.MaxConnections.
func New(cfg Config, hub *broadcast.Shards) (*Engine, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Slice <= 0 {
		cfg.Slice = 2 * time.Millisecond
	}
	if cfg.Loops < 1 {
		return nil, errors.New("eventloop: at least one loop is needed")
	}
	cfg.PollWait = cmp.Or(cfg.PollWait, pollWait)
	cfg.InputBytes = max(cfg.InputBytes, 64<<10)
	cfg.Limits.Addresses.DryRun = cfg.Limits.DryRun
	cfg.Limits.Inbound.BytesBurst = max(cfg.Limits.Inbound.BytesBurst, uint32(min(cfg.MaxMessageSize+cfg.MaxHeaderSize, admission.MaxBurst)))
	cfg.EchoQueueBytes = max(cfg.EchoQueueBytes, 2*(cfg.MaxMessageSize+maxCollected))
	maxConnections, reserve, err := connectionLimit(cfg.MaxConnections)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, hub: hub, log: cfg.Log, started: time.Now(),
		handshake: ticks(cfg.HandshakeTimeout), closing: ticks(cfg.CloseTimeout),
		transports:     newTransports(&cfg),
		latestPath:     path.Join(path.Dir(cfg.StreamPath), "latest"),
		frames:         wsproto.Config{MaxMessage: int64(cfg.MaxMessageSize)},
		deflater:       cmp.Or(cfg.Compression.Deflater, wsproto.NewDeflater(1)),
		crossOrigin:    cfg.Origins.Cross(),
		addresses:      admission.NewAddresses(cfg.Limits.Addresses),
		accepts:        admission.NewRate(cfg.Limits.ConnectionsPerSecond),
		users:          new(admission.Users),
		notice:         ticks(cfg.Auth.Notice),
		grace:          ticks(cfg.Auth.Grace),
		credentials:    cfg.Auth.Verifier != nil && cfg.Auth.Cookie != "" || cfg.TLS.Clients != nil,
		maxAge:         ticks(cfg.Limits.MaxAge),
		ageJitter:      ticks(cfg.Limits.MaxAge * time.Duration(cfg.Limits.AgeJitter) / 100),
		pages:          make(map[string]*page, len(cfg.Pages)),
		byIndex:        make([]*loop, cfg.Loops),
		maxConnections: maxConnections, reserve: reserve,
		ready: make(chan struct{}), empty: make(chan struct{}),
		stopWithin: stopPatience,
	}
	e.maxHeld = e.accepts.Within(cfg.Limits.ConnectionsWait)
	if v := cfg.Auth.Verifier; v != nil {
		v.Notify(e.keysFetched)
		e.cfg.Auth.Revoked = cmp.Or(cfg.Auth.Revoked, &v.Revoked)
	}
	if err := e.prepareTLS(); err != nil {
		return nil, err
	}
	for _, p := range cfg.Pages {
		e.pages[p.Path] = newPage(p)
	}
	return e, nil
}

// Run listens and serves until ctx is done. Then it closes every client's connection, and returns when all are gone or after
// grace, whatever the loops do. It fails if an address cannot be listened on, if gnet stops for a reason of its own, or if a loop
// does not end.
func (e *Engine) Run(ctx context.Context, grace time.Duration) error {
	surviveAcceptErrors()
	urls := make([]string, len(e.listen))
	for i, a := range e.listen {
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
	go e.stop()
	select {
	case err := <-stopped:
		return err
	case <-time.After(e.stopWithin):
		return fmt.Errorf("eventloop: gnet does not stop: %s", cmp.Or(e.Stuck(e.stopWithin/2), "its loops are busy"))
	}
}

// stopPatience is the time that gnet has to stop, once the clients are gone or have had their time. Chosen by us.
const stopPatience = 500 * time.Millisecond

// readBufferCap bounds the bytes that are read from one connection before the others have their turn.
const readBufferCap = 16 << 10

// writeBufferCap bounds the bytes of one connection that gnet keeps in a ring, before it changes to a list of chunks.
const writeBufferCap = 2 << 10

// stoppedEarly returns the reason for which gnet stopped, unasked.
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
		return fmt.Errorf("eventloop: listen on %s: %w", strings.Join(e.listen, ", "), err)
	}
}
