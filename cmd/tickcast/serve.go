package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/upstream"
	"tickcast/cmd/message"
	"tickcast/cmd/tickcast/config"
	"tickcast/eventloop"
)

// serve runs the server until ctx ends or a part of it fails. The parts end in the reverse order of their start, so that the
// parts behind the clients still work while the clients are closed.
func serve(ctx context.Context, cfg *config.Config, b build, stdout io.Writer, log *slog.Logger) error {
	var natsAddr string
	var stored *storage
	nats := upstreamConfig(cfg, log)
	if len(cfg.NATS.URLs) == 0 {
		ns, err := startEmbedded(cfg.NATS, cfg.Server.NodeName(), log)
		if err != nil {
			return err
		}
		defer ns.Close()
		nats.InProcess = ns
		natsAddr, stored = ns.Addr(), ns.storage
	}

	n := &node{cfg: cfg, log: log, storage: stored, ceiling: ceilingOf(int64(cfg.Runtime.MemoryCeiling))}
	if cfg.Runtime.MemoryLimit == 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(n.ceiling / 100 * 80) // collect before new work has to be refused
	}
	m := newMetrics(b, func() (eventloop.Stats, broadcast.Stats) { return n.engine.Stats(), n.hub.Stats() })
	if err := n.build(m.observeFanout); err != nil {
		return err
	}
	if cfg.Runtime.SpareProcs > 0 { // the event loops are counted by now
		setProcs(cfg.Runtime.SpareProcs)
		defer setProcs(0)
	}
	if n.revoked != nil {
		nats.Control, nats.OnControl = cfg.Auth.ControlSubject, n.onControl
	}
	nc, err := upstream.Connect(n.hub.Hub, nats)
	if err != nil {
		return message.WithHint(err, "check [nats] in the configuration")
	}

	if err := checkStreams(ctx, nc, n.hub.Sources()); err != nil {
		return message.WithHint(err, "let the topic be read from a stream with retention \"limits\", such as one that has the work queue as its source")
	}

	// The parts behind the engine end after it.
	behind, end := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	failed := make(chan error, 2)
	start := func(run func(context.Context) error) {
		parts.Go(func() {
			if err := run(behind); err != nil {
				failed <- err
			}
		})
	}
	defer parts.Wait()
	defer end()
	start(nc.Run)
	if n.tokens != nil {
		start(n.tokens.Run)
	}
	if stored != nil {
		start(stored.watch)
	}
	start(n.trim)
	start(n.holdCeiling)
	if len(cfg.TLS.Listen) > 0 {
		start(newCollector(cfg.Runtime, n.engine.Handshakes).run)
	}
	start(n.certs.watch)
	if i := n.certs.issuer; i != nil {
		start(func(ctx context.Context) error { return i.run(ctx, n.engine.Ready()) })
	}
	if cfg.Demo.Enabled {
		if err := n.startDemo(nats, start); err != nil {
			return err
		}
	}
	return n.serveClients(ctx, m.handler(), n.revokeHandler(nc.Control), failed, stdout, natsAddr)
}

// streamPatience bounds the check of all streams at the start: JetStream without a leader does not answer. Chosen by us.
const streamPatience = 2 * time.Second

func checkStreams(ctx context.Context, nc *upstream.NATS, sources []topics.StreamSource) error {
	ctx, cancel := context.WithTimeout(ctx, streamPatience)
	defer cancel()
	return nc.CheckStreams(ctx, sources)
}

// internalPatience is the time that requests of the internal port have to end. Chosen by us.
const internalPatience = 200 * time.Millisecond

// serveClients runs the engine and the internal port until ctx ends, the engine ends or failed has an error.
func (n *node) serveClients(ctx context.Context, metrics, revoke http.Handler, failed <-chan error, stdout io.Writer, natsAddr string) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- n.engine.Run(serving, n.cfg.Shutdown.Timeout) }()
	select {
	case <-n.engine.Ready():
	case err := <-served:
		return listenHint("server.listen", err, "")
	}
	var internalAddr string
	if n.cfg.Server.InternalListen != "" {
		internal, err := startInternal(n.cfg.Server.InternalListen, status{Healthy: n.healthy, Hosts: n.cfg.Server.InternalHosts, Ready: n.notReady}, metrics, revoke, n.log)
		if err != nil {
			stop()
			return errors.Join(err, <-served)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), internalPatience)
			defer cancel()
			if err := internal.Close(ctx); err != nil {
				n.log.Warn("the internal port was cut off", "err", err)
			}
		}()
		internalAddr = internal.Addr().String()
	}
	n.printAddresses(stdout, internalAddr, natsAddr)
	select {
	case err := <-served:
		return err
	case err := <-failed:
		stop()
		return errors.Join(err, <-served)
	}
}
