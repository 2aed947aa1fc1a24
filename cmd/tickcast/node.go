package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/auth"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/upstream"
	"tickcast/broadcast/wire"
	"tickcast/cmd/message"
	"tickcast/cmd/tickcast/config"
	"tickcast/cmd/tickcast/web"
	"tickcast/eventloop"
	"tickcast/eventloop/admission"
	"tickcast/loadtest/feed"
	"tickcast/wsproto"
)

// lagUnhealthy is the lag of a loop from which /healthz reports a failure: the loop hangs.
const lagUnhealthy = 5 * time.Second

// A node is the hub and the engine of this process.
type node struct {
	cfg     *config.Config
	log     *slog.Logger
	certs   *certificates
	hub     *broadcast.Shards
	engine  *eventloop.Engine
	tokens  *auth.Verifier // nil = the server asks for no token
	revoked *auth.Revoked  // nil = clients have no users
	storage *storage       // of the embedded NATS server; nil = it has none

	ceiling int64 // of the memory of the process, bytes
}

// build makes the hub and the engine; it opens no port. observeFanout takes the latencies of the fan-out, in seconds.
func (n *node) build(observeFanout func(float64)) error {
	cfg := n.cfg
	loops := cfg.Server.Loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	deflater := wsproto.NewDeflater(cfg.Compression.Level) // one pool of compressors for both
	if err := n.buildAuth(); err != nil {
		return err
	}
	certs, err := loadCertificates(&cfg.TLS, n.log)
	if err != nil {
		return err
	}
	n.certs = certs
	n.hub = broadcast.New(n.hubConfig(loops, deflater, observeFanout))
	engine, err := n.engineConfig(loops, deflater)
	if err != nil {
		return err
	}
	n.engine, err = eventloop.New(engine, n.hub)
	return message.WithHint(err, "raise the limit with ulimit -n, or with LimitNOFILE in a systemd unit")
}

// hubConfig returns the configuration of the hub.
func (n *node) hubConfig(loops int, deflater *wsproto.Deflater, observeFanout func(float64)) broadcast.Config {
	cfg := n.cfg
	hub := broadcast.Config{
		Config: topics.Config{
			Shards:          loops,
			MaxTopics:       cfg.Limits.MaxTopics,
			MaxTopicLength:  cfg.Limits.MaxTopicLength,
			MaxTopicTokens:  cfg.Limits.MaxTopicTokens,
			MailboxMessages: cfg.Flow.MailboxMessages,
			MailboxBytes:    int(cfg.Flow.MailboxBytes),
			HistoryBytes:    int(cfg.Flow.HistoryBytes),
			DelayBytes:      int(cfg.Flow.DelayBytes),
			NewestBytes:     int(cfg.Flow.NewestBytes),
			PayloadDepth:    cfg.Flow.PayloadDepth,
			Classes:         cfg.TopicClasses(),
			Linger:          cfg.NATS.Linger,
			ObserveFanout:   observeFanout,
			Log:             n.log,
		},
		Node:                   cfg.Server.NodeName(),
		Heartbeat:              cfg.Connection.Heartbeat,
		MaxTopicsPerConnection: cfg.Limits.MaxTopicsPerConnection,
		MaxWildcards:           cfg.Limits.MaxWildcardsPerConnection,
		MaxMatches:             cfg.Limits.MaxWildcardMatches,
		MatchesPerSecond:       cfg.Limits.WildcardMatchesPerSecond,
		NewTopicsPerSecond:     cfg.Limits.NewTopicsPerSecond,
		MaxMessageSize:         int(cfg.Limits.MaxMessageSize),
		QueueBytes:             int(cfg.Flow.QueueBytes),
		MemoryBudget:           int(cfg.Flow.MemoryBudget),
		FlushInterval:          cfg.Flow.FlushInterval,
		PollBytes:              int(cfg.Connection.PollBytes),
		PollLinger:             cfg.Connection.PollLinger,
		PollTopics:             cfg.Limits.MaxPolledTopics,
		PollTopicsPerAddress:   cfg.Limits.MaxPolledTopicsPerAddress,
		Subscribe:              cfg.Subscribe.Topics,
		Publish:                cfg.Publish.Topics,
	}
	if cfg.Compression.Enabled {
		hub.Deflater = deflater
		hub.MinCompress = int(cfg.Compression.MinSize)
	}
	return hub
}

// engineConfig returns the configuration of the engine.
func (n *node) engineConfig(loops int, deflater *wsproto.Deflater) (eventloop.Config, error) {
	cfg := n.cfg
	files, err := web.Files(cfg.Server.StreamPath)
	var pages []eventloop.Page
	for _, f := range files {
		pages = append(pages, eventloop.Page(f))
	}
	proxies, proxyErr := admission.ParseNetworks(cfg.Server.TrustedProxies)
	origins, originErr := admission.ParseOrigins(cfg.Origin.Allowed)
	return eventloop.Config{
		Origins:        origins,
		ProxyProtocol:  proxyModes[cfg.Server.ProxyProtocol],
		TrustedProxies: proxies,
		Auth:           n.engineAuth(),
		Limits:         limits(&cfg.Limits, &cfg.Connection),
		Listen:         cfg.Server.Listen,
		StreamPath:     cfg.Server.StreamPath,
		EchoPath:       cfg.Debug.EchoPath,
		Pages:          pages,
		Subprotocols:   wire.Subprotocols(),
		Loops:          loops,
		LockOSThread:   cfg.Server.LockOSThread,
		Backlog:        cfg.Server.Backlog,
		SendBuffer:     int(cfg.Server.SendBuffer),
		NotSentLowat:   int(cfg.Server.NotsentLowat),
		TCPUserTimeout: cfg.Server.TCPUserTimeout,
		MaxConnections: cfg.Limits.MaxConnections,
		MaxHeaderSize:  int(cfg.Limits.MaxHeaderSize),
		MaxMessageSize: int(cfg.Limits.MaxMessageSize),
		QueueBytes:     int(cfg.Flow.QueueBytes),
		InputBytes:     int(cfg.Flow.InputBytes),
		EchoQueueBytes: int(cfg.Debug.EchoQueueBytes),
		Compression:    compression(cfg.Compression, deflater),
		TLS: eventloop.TLS{
			Listen:        cfg.TLS.Listen,
			Config:        n.certs.config,
			OwnRecords:    cfg.TLS.Records == config.RecordsAuto,
			Workers:       cfg.TLS.HandshakeWorkers,
			MaxHandshakes: cfg.TLS.MaxHandshakes,
			KeptBytes:     int(cfg.TLS.CipherMemory),
			Clients:       cfg.TLS.Clients(),
		},
		Redirect:            n.certs.redirect(),
		HandshakeTimeout:    cfg.Limits.HandshakeTimeout,
		FirstMessageTimeout: cfg.Limits.FirstMessageTimeout,
		CloseTimeout:        cfg.Limits.CloseTimeout,
		Heartbeat:           cfg.Connection.Heartbeat,
		PingInterval:        cfg.Connection.PingInterval,
		IdleTimeout:         cfg.Connection.IdleTimeout,
		PollWait:            cfg.Connection.PollWait,
		Drain:               eventloop.Drain(cfg.Drain),
		Slice:               cfg.Flow.Slice,
		Log:                 n.log,
	}, errors.Join(err, originErr, proxyErr)
}

var proxyModes = map[string]eventloop.ProxyMode{"optional": eventloop.ProxyOptional, "required": eventloop.ProxyRequired}

// limits returns the limits of clients.
func limits(c *config.Limits, conn *config.Connection) eventloop.Limits {
	return eventloop.Limits{
		Addresses: admission.AddressLimits{
			Connections: c.MaxConnectionsPerAddress, PerSecond: c.ConnectionsPerSecondPerAddress,
			BanAfter: c.BanAfter, BanWindow: c.BanWindow, BanFor: c.BanDuration, Track: c.MaxTrackedAddresses,
		},
		ConnectionsPerSecond: c.ConnectionsPerSecond,
		ConnectionsWait:      c.ConnectionsWait,
		ConnectionsPerUser:   c.MaxConnectionsPerUser,
		Inbound: admission.Inbound{
			CommandsPerSecond: uint32(c.CommandsPerSecond), CommandsBurst: uint32(c.CommandsBurst),
			BytesPerSecond: uint32(c.InputBytesPerSecond), BytesBurst: uint32(c.InputBytesBurst),
		},
		MaxAge: conn.MaxAge, AgeJitter: conn.MaxAgeJitter, DryRun: c.DryRun,
	}
}

// compression returns the engine's part of c.
func compression(c config.Compression, deflater *wsproto.Deflater) eventloop.Compression {
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

// upstreamConfig returns the configuration of the NATS connections.
func upstreamConfig(cfg *config.Config, log *slog.Logger) upstream.Config {
	return upstream.Config{
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
		PingInterval:    cfg.NATS.PingInterval,
		PendingMessages: cfg.NATS.PendingMessages,
		Connections:     cfg.NATS.Connections,
		Log:             log,
	}
}

// startDemo publishes made-up ticks through a NATS connection of its own, as any publisher would.
func (n *node) startDemo(nats upstream.Config, start func(func(context.Context) error)) error {
	nats.Name += "-demo"
	nc, err := nats.Dial()
	if err != nil {
		return err
	}
	d := n.cfg.Demo
	market := feed.NewMarket(feed.MarketConfig{Symbols: d.Symbols, Seed: uint64(d.Seed), Rate: float64(d.Rate)})
	p, err := feed.NewPublisher(feed.PublisherConfig{Source: market.Message, Rate: float64(d.Rate), Conn: nc})
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

// healthy returns an error if a loop hangs.
func (n *node) healthy() error {
	if what := n.engine.Stuck(lagUnhealthy); what != "" {
		return errors.New(what)
	}
	return nil
}

// notReady returns the reasons to send no client to this server.
func (n *node) notReady() []string {
	var reasons []string
	if n.engine.Draining() {
		reasons = append(reasons, "draining")
	}
	if err := n.hub.Ready(); err != nil {
		reasons = append(reasons, err.Error())
	}
	if n.storage != nil {
		if err := n.storage.ready(); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	return reasons
}

// printAddresses writes the addresses of this server to w. internal and nats may be empty.
func (n *node) printAddresses(w io.Writer, internal, nats string) {
	addrs := n.engine.Addrs()
	redirects := len(addrs) - len(n.engine.RedirectAddrs())
	secure := redirects - len(n.engine.TLSAddrs())
	for i, addr := range addrs {
		s := "" // of the schemes
		if i >= secure {
			s = "s"
		}
		addr = strings.Replace(strings.Replace(addr, "0.0.0.0", "127.0.0.1", 1), "[::]", "localhost", 1)
		if i >= redirects {
			fmt.Fprintf(w, "tickcast: redirect http://%s/\n", addr)
			continue
		}
		fmt.Fprintf(w, "tickcast: page     http%s://%s/\n", s, addr)
		fmt.Fprintf(w, "tickcast: stream   ws%s://%s%s\n", s, addr, n.cfg.Server.StreamPath)
		if echo := n.cfg.Debug.EchoPath; echo != "" {
			fmt.Fprintf(w, "tickcast: echo     ws%s://%s%s\n", s, addr, echo)
		}
	}
	if internal != "" {
		fmt.Fprintf(w, "tickcast: metrics  http://%s/metrics\n", internal)
	}
	if nats != "" {
		fmt.Fprintf(w, "tickcast: nats     nats://%s\n", nats)
	}
}
