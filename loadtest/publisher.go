package loadtest

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
	// DefaultMaxLag is how far a Publisher falls behind before it gives messages up.
	DefaultMaxLag = time.Second

	// writeTimeout bounds one write to a NATS server that has stopped reading, and
	// the last flush: Run returns at most this long after its context.
	writeTimeout = 2 * time.Second
)

// A Source makes the next message of a feed. It may append the payload to dst; neither
// is used after the following call. due is the wall-clock time at which the message
// should leave, which is the time to write into it: latency that counts from then
// includes the publisher's own stalls. The Publisher calls it from one goroutine.
type Source func(dst []byte, due time.Time) (subject string, payload []byte)

// PublisherConfig says what is published where and how fast. Source and Rate must be
// set, Rate may be left out with Pace. Of Conn, InProcess and URL the first that is set is used; none of them means the
// NATS server on its usual local port.
type PublisherConfig struct {
	Source Source
	Rate   float64       // messages a second
	Pace   Pace          // nil = Rate, all the time
	Limit  uint64        // Run returns after so many messages; 0 = it does not
	Burst  int           // messages between two looks at the clock and the context; 0 = 10 ms' worth
	MaxLag time.Duration // older messages are skipped after a stall; 0 = DefaultMaxLag

	Conn      *nats.Conn                 // stays open after Run
	InProcess nats.InProcessConnProvider // an embedded *server.Server, which need not listen on any port
	URL       string                     // "nats://127.0.0.1:4222", several separated by commas
}

// A Publisher sends a Source's messages to NATS at a constant rate or another Pace, kept
// by intended times: message n is due n/rate seconds after the start, however late the
// ones before it were. After a stall it catches up in bursts, at no more than twice the
// rate, and gives up what is older than MaxLag.
//
// A message that is due while NATS is away is counted and not made; the Publisher goes on
// when NATS is back. Nothing is buffered meanwhile: an old tick is worth nothing.
type Publisher struct {
	// Immutable after NewPublisher.
	cfg  PublisherConfig
	beat metronome

	// Written by Run; any goroutine may read.
	sent, failed, skipped atomic.Uint64
	late                  atomic.Int64
}

// PublisherStats counts what became of the messages that were due.
type PublisherStats struct {
	Sent    uint64        // handed to NATS
	Failed  uint64        // not made, since NATS was away, or refused by the NATS client
	Skipped uint64        // never made: older than MaxLag
	MaxLate time.Duration // the most that a message left after its intended time
}

// NewPublisher checks the configuration. Run does the rest.
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

// Stats may be called by any goroutine at any time.
func (p *Publisher) Stats() PublisherStats {
	return PublisherStats{
		Sent:    p.sent.Load(),
		Failed:  p.failed.Load(),
		Skipped: p.skipped.Load(),
		MaxLate: time.Duration(p.late.Load()),
	}
}

// Run publishes until ctx ends or the limit is reached, and then returns nil. It returns an error if the NATS
// URL is not usable or the connection is closed for good; an outage is neither. Run may
// be called once.
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
	var buf []byte
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
			late := elapsed - p.beat.due(done)
			if int64(late) > p.late.Load() {
				p.late.Store(int64(late))
			}
			done++
			if !up {
				p.failed.Add(1)
				continue
			}
			subject, payload := p.cfg.Source(buf[:0], now.Add(-late))
			if cap(payload) > cap(buf) {
				buf = payload
			}
			if nc.Publish(subject, payload) == nil {
				p.sent.Add(1)
			} else {
				p.failed.Add(1)
			}
		}
		if p.cfg.Limit > 0 && done == p.cfg.Limit {
			flush(nc)
			return nil
		}
		timer.Reset(wake - time.Since(start))
	}
}

// flush waits until NATS has what was sent. What does not get out in time is lost, as in an outage.
func flush(nc *nats.Conn) {
	if nc.IsConnected() {
		nc.FlushTimeout(writeTimeout)
	}
}

// connect returns the configured connection, or a new one that never gives up.
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
