package feed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Chosen by us.
const (
	// DefaultMaxLag is the delay beyond which a Publisher skips messages.
	DefaultMaxLag = time.Second

	// writeTimeout bounds one write to a NATS server that has stopped reading, and the last flush: Run returns at most
	// this long after its context ended.
	writeTimeout = 2 * time.Second
)

// A Source makes the next message of a feed. It may append the payload to dst; neither is used after the following call.
// due is the wall-clock time at which the message should leave. A message should carry that time: latency that counts
// from it includes the publisher's own stalls. The Publisher calls the source from one goroutine.
type Source func(dst []byte, due time.Time) (subject string, payload []byte)

// PublisherConfig describes a Publisher. Source is required, and Rate or Pace. The first of Conn, InProcess and URL that is
// set leads to the NATS server; without them it is the one on the usual local port.
type PublisherConfig struct {
	Source Source
	Rate   float64       // messages a second
	Pace   Pace          // nil = Rate, all the time
	Limit  uint64        // Run returns after so many messages; 0 = no limit
	Burst  int           // messages between two looks at the clock and the context; 0 = 10 ms' worth
	MaxLag time.Duration // older messages are skipped after a stall; 0 = DefaultMaxLag

	Conn      *nats.Conn                 // stays open after Run
	InProcess nats.InProcessConnProvider // an embedded *server.Server, which needs no port
	URL       string                     // "nats://127.0.0.1:4222", several separated by commas
}

// A Publisher sends a Source's messages to NATS at a Pace. It keeps intended times: message n is due n/rate seconds after
// the start, however late the messages before it were. After a stall it catches up in bursts, at no more than twice the
// rate, and skips messages that are older than MaxLag.
//
// A message that is due while NATS is away counts as failed and is not made. The Publisher goes on when NATS is back. It
// buffers no message meanwhile: an old tick is worthless.
type Publisher struct {
	// Immutable after NewPublisher.
	cfg  PublisherConfig
	beat metronome

	buf []byte // of Run: for the next message

	// Written by Run; any goroutine may read.
	sent, failed, skipped atomic.Uint64
	late                  atomic.Int64
}

// PublisherStats counts the messages that were due, by their fate.
type PublisherStats struct {
	Sent    uint64        // handed to NATS
	Failed  uint64        // not made, since NATS was away, or refused by the NATS client
	Skipped uint64        // never made: older than MaxLag
	MaxLate time.Duration // longest delay of a message after its intended time
}

// NewPublisher returns a Publisher. An error is about the configuration.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Source == nil {
		return nil, errors.New("loadtest: publisher without a source")
	}
	if cfg.Pace == nil {
		if !(cfg.Rate > 0) || math.IsInf(cfg.Rate, 1) {
			return nil, fmt.Errorf("loadtest: publisher rate %v is not a positive number", cfg.Rate)
		}
		cfg.Pace = Constant(cfg.Rate)
	}
	if cfg.Burst <= 0 {
		cfg.Burst = max(1, int(min(cfg.Pace.Count(time.Second)/100, 1<<20)))
	}
	if cfg.MaxLag <= 0 {
		cfg.MaxLag = DefaultMaxLag
	}
	return &Publisher{cfg: cfg, beat: metronome{cfg.Pace, uint64(cfg.Burst), cfg.MaxLag}}, nil
}

// Stats returns the counts so far. Any goroutine may call it at any time.
func (p *Publisher) Stats() PublisherStats {
	return PublisherStats{
		Sent:    p.sent.Load(),
		Failed:  p.failed.Load(),
		Skipped: p.skipped.Load(),
		MaxLate: time.Duration(p.late.Load()),
	}
}

// Run publishes until ctx ends or the limit is reached, and then returns nil. It returns an error if the NATS URL is not
// usable or the connection is closed for good, but not for an outage. Run may be called once.
func (p *Publisher) Run(ctx context.Context) error {
	nc, err := p.connect()
	if err != nil {
		return fmt.Errorf("loadtest: connect to NATS: %w", err)
	}
	if nc != p.cfg.Conn {
		defer nc.Close()
	}

	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for done := uint64(0); ; {
		select {
		case <-ctx.Done():
			flush(nc)
			return nil
		case <-timer.C:
			if ctx.Err() != nil {
				continue // both were ready
			}
		}
		if nc.IsClosed() {
			return fmt.Errorf("loadtest: publish: %w", nats.ErrConnectionClosed)
		}
		now := time.Now()
		elapsed := now.Sub(start)
		skip, send, wake := p.beat.next(elapsed, done)
		if p.cfg.Limit > 0 {
			skip = min(skip, p.cfg.Limit-done)
			send = min(send, p.cfg.Limit-done-skip)
		}
		p.skipped.Add(skip)
		done += skip
		up := nc.IsConnected()
		for range send {
			p.publish(nc, up, now, elapsed-p.beat.due(done))
			done++
		}
		if p.cfg.Limit > 0 && done == p.cfg.Limit {
			flush(nc)
			return nil
		}
		timer.Reset(wake - time.Since(start))
	}
}

// publish makes a message that is late by the given time and hands it to NATS, if NATS is up.
func (p *Publisher) publish(nc *nats.Conn, up bool, now time.Time, late time.Duration) {
	if int64(late) > p.late.Load() {
		p.late.Store(int64(late))
	}
	if !up {
		p.failed.Add(1)
		return
	}
	subject, payload := p.cfg.Source(p.buf[:0], now.Add(-late))
	if cap(payload) > cap(p.buf) {
		p.buf = payload
	}
	if nc.Publish(subject, payload) == nil {
		p.sent.Add(1)
	} else {
		p.failed.Add(1)
	}
}

// flush waits until NATS has all messages. Messages that do not get out in time are lost, as in an outage.
func flush(nc *nats.Conn) {
	if nc.IsConnected() {
		nc.FlushTimeout(writeTimeout)
	}
}

// connect returns the configured connection, or a new one that reconnects for ever.
func (p *Publisher) connect() (*nats.Conn, error) {
	if p.cfg.Conn != nil {
		return p.cfg.Conn, nil
	}
	url := p.cfg.URL
	if url == "" {
		url = nats.DefaultURL
	}
	options := []nats.Option{
		nats.Name("tickcast publisher"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // fail while disconnected
		nats.FlusherTimeout(writeTimeout),
	}
	if p.cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(p.cfg.InProcess))
	}
	return nats.Connect(url, options...)
}
