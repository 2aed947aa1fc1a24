package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"tickcast/broadcast"
	"tickcast/eventloop"
	"tickcast/loadtest"
	"tickcast/wsproto"
)

// lagUnhealthy is how long a loop may be late before /healthz says so: it has hung, not only been busy.
const lagUnhealthy = 5 * time.Second

// serve runs the server until ctx ends, or until a part of it fails. What it starts it ends in the reverse order: clients
// are told to go while everything behind them still works.
func serve(ctx context.Context, cfg *Config, b build, stdout io.Writer, log *slog.Logger) error {
	var natsAddr, internalAddr string
	upstream := upstreamConfig(cfg, log)
	if len(cfg.NATS.URLs) == 0 {
		ns, err := startEmbedded(cfg.NATS, cfg.Server.NodeName(), log)
		if err != nil {
			return err
		}
		defer ns.Close()
		upstream.InProcess = ns
		natsAddr = ns.Addr()
	}

	s := &node{cfg: cfg, log: log}
	m := newMetrics(b, func() (eventloop.Stats, broadcast.Stats) { return s.engine.Stats(), s.hub.Stats() })
	if err := s.build(m.observeFanout); err != nil {
		return err
	}
	nc, err := broadcast.ConnectNATS(s.hub, upstream)
	if err != nil {
		return withHint(err, "check [nats] in the configuration")
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
	start(s.trim)
	if cfg.Demo.Enabled {
		if err := s.startDemo(upstream, start); err != nil {
			return err
		}
	}

	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.engine.Run(serving, cfg.Shutdown.Timeout) }()
	select {
	case <-s.engine.Ready():
	case err := <-served:
		return listenHint("server.listen", err, "")
	}
	if cfg.Server.InternalListen != "" {
		internal, err := startInternal(cfg.Server.InternalListen, status{s.healthy, s.notReady}, m.handler(), log)
		if err != nil {
			stop()
			return errors.Join(err, <-served)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := internal.Close(ctx); err != nil {
				log.Warn("the internal port was cut off", "err", err)
			}
		}()
		internalAddr = internal.Addr().String()
	}
	s.greet(stdout, internalAddr, natsAddr)
	select {
	case err := <-served:
		return err
	case err := <-failed:
		stop()
		return errors.Join(err, <-served)
	}
}

// A node is what serve wires together.
type node struct {
	cfg    *Config
	log    *slog.Logger
	hub    *broadcast.Hub
	engine *eventloop.Engine
}

func (s *node) build(observeFanout func(float64)) (err error) {
	cfg := s.cfg
	loops := cfg.Server.Loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	hub := broadcast.Config{
		Shards:                 loops,
		Node:                   cfg.Server.NodeName(),
		Heartbeat:              cfg.Connection.Heartbeat,
		MaxTopics:              cfg.Limits.MaxTopics,
		MaxTopicsPerConnection: cfg.Limits.MaxTopicsPerConnection,
		MaxTopicLength:         cfg.Limits.MaxTopicLength,
		MaxTopicTokens:         cfg.Limits.MaxTopicTokens,
		MaxWildcards:           cfg.Limits.MaxWildcardsPerConnection,
		MaxMatches:             cfg.Limits.MaxWildcardMatches,
		MatchesPerSecond:       cfg.Limits.WildcardMatchesPerSecond,
		MaxMessageSize:         int(cfg.Limits.MaxMessageSize),
		MailboxMessages:        cfg.Flow.MailboxMessages,
		MailboxBytes:           int(cfg.Flow.MailboxBytes),
		QueueBytes:             int(cfg.Flow.QueueBytes),
		MemoryBudget:           int(cfg.Flow.MemoryBudget),
		HistoryBytes:           int(cfg.Flow.HistoryBytes),
		DelayBytes:             int(cfg.Flow.DelayBytes),
		FlushInterval:          cfg.Flow.FlushInterval,
		Classes:                cfg.classes(),
		Linger:                 cfg.NATS.Linger,
		Subscribe:              cfg.Subscribe.Topics,
		Publish:                cfg.Publish.Topics,
		ObserveFanout:          observeFanout,
		Log:                    s.log,
	}
	deflater := wsproto.NewDeflater(cfg.Compression.Level)
	if cfg.Compression.Enabled {
		hub.Deflater = deflater
		hub.MinCompress = int(cfg.Compression.MinSize)
	}
	s.hub = broadcast.NewHub(hub)
	pages, err := webPages(cfg.Server.StreamPath)
	if err != nil {
		return err
	}
	s.engine, err = eventloop.New(eventloop.Config{
		Listen:              cfg.Server.Listen,
		StreamPath:          cfg.Server.StreamPath,
		EchoPath:            cfg.Debug.EchoPath,
		Pages:               pages,
		Subprotocols:        broadcast.Subprotocols(),
		Loops:               loops,
		LockOSThread:        cfg.Server.LockOSThread,
		Backlog:             cfg.Server.Backlog,
		SendBuffer:          int(cfg.Server.SendBuffer),
		NotSentLowat:        int(cfg.Server.NotsentLowat),
		TCPUserTimeout:      cfg.Server.TCPUserTimeout,
		MaxConnections:      cfg.Limits.MaxConnections,
		MaxHeaderSize:       int(cfg.Limits.MaxHeaderSize),
		MaxMessageSize:      int(cfg.Limits.MaxMessageSize),
		QueueBytes:          int(cfg.Flow.QueueBytes),
		InputBytes:          int(cfg.Flow.InputBytes),
		EchoQueueBytes:      int(cfg.Debug.EchoQueueBytes),
		Compression:         cfg.Compression.engine(deflater),
		HandshakeTimeout:    cfg.Limits.HandshakeTimeout,
		FirstMessageTimeout: cfg.Limits.FirstMessageTimeout,
		CloseTimeout:        cfg.Limits.CloseTimeout,
		Heartbeat:           cfg.Connection.Heartbeat,
		PingInterval:        cfg.Connection.PingInterval,
		IdleTimeout:         cfg.Connection.IdleTimeout,
		Slice:               cfg.Flow.Slice,
		Log:                 s.log,
	}, s.hub)
	if err != nil {
		return withHint(err, "raise the limit with ulimit -n, or with LimitNOFILE in a systemd unit")
	}
	return nil
}

// engine is c as the engine wants it. deflater is the hub's, so that both lend from one pool of compressors.
func (c *CompressionConfig) engine(deflater *wsproto.Deflater) eventloop.Compression {
	return eventloop.Compression{
		Enabled:  c.Enabled,
		Deflater: deflater,
		MinSize:  int(c.MinSize),
		Policy: wsproto.DeflatePolicy{
			ServerWindowBits: uint8(c.ServerMaxWindowBits),
			ClientWindowBits: uint8(c.ClientMaxWindowBits),
			ServerTakeover:   c.ServerContextTakeover,
			ClientTakeover:   c.ClientContextTakeover,
		},
	}
}

func upstreamConfig(cfg *Config, log *slog.Logger) broadcast.NATSConfig {
	return broadcast.NATSConfig{
		URLs:            cfg.NATS.URLs,
		Name:            cfg.NATS.Name,
		CredentialsFile: cfg.NATS.Credentials,
		User:            cfg.NATS.User,
		Password:        cfg.NATS.Password,
		Token:           cfg.NATS.Token,
		CAFile:          cfg.NATS.TLSCA,
		CertFile:        cfg.NATS.TLSCert,
		KeyFile:         cfg.NATS.TLSKey,
		ConnectTimeout:  cfg.NATS.ConnectTimeout,
		ReconnectWait:   cfg.NATS.ReconnectWait,
		PendingMessages: cfg.NATS.PendingMessages,
		Connections:     cfg.NATS.Connections,
		Log:             log,
	}
}

// startDemo publishes made-up ticks through a NATS connection of its own, as any feed would.
func (s *node) startDemo(upstream broadcast.NATSConfig, start func(func(context.Context) error)) error {
	upstream.Name += "-demo"
	nc, err := upstream.Dial()
	if err != nil {
		return err
	}
	d := s.cfg.Demo
	market := loadtest.NewMarket(loadtest.MarketConfig{Symbols: d.Symbols, Seed: uint64(d.Seed), Rate: float64(d.Rate)})
	p, err := loadtest.NewPublisher(loadtest.PublisherConfig{Source: market.Message, Rate: float64(d.Rate), Conn: nc})
	if err != nil {
		nc.Close()
		return err
	}
	start(func(ctx context.Context) error {
		defer nc.Close()
		return p.Run(ctx)
	})
	return nil
}

// healthy says what hangs, or nil.
func (s *node) healthy() error {
	if lag := s.engine.Lag(); lag > lagUnhealthy {
		return fmt.Errorf("an event loop has not answered for %v", lag.Round(time.Millisecond))
	}
	return nil
}

// notReady says why no client should be sent here.
func (s *node) notReady() []string {
	var reasons []string
	if s.engine.Draining() {
		reasons = append(reasons, "draining")
	}
	if err := s.hub.Ready(); err != nil {
		reasons = append(reasons, err.Error())
	}
	return reasons
}

// greet tells where everything is. internal and nats may be empty.
func (s *node) greet(w io.Writer, internal, nats string) {
	for _, addr := range s.engine.Addrs() {
		addr = strings.Replace(strings.Replace(addr, "0.0.0.0", "127.0.0.1", 1), "[::]", "localhost", 1)
		fmt.Fprintf(w, "tickcast: page     http://%s/\n", addr)
		fmt.Fprintf(w, "tickcast: stream   ws://%s%s\n", addr, s.cfg.Server.StreamPath)
		if echo := s.cfg.Debug.EchoPath; echo != "" {
			fmt.Fprintf(w, "tickcast: echo     ws://%s%s\n", addr, echo)
		}
	}
	if internal != "" {
		fmt.Fprintf(w, "tickcast: metrics  http://%s/metrics\n", internal)
	}
	if nats != "" {
		fmt.Fprintf(w, "tickcast: nats     nats://%s\n", nats)
	}
}
