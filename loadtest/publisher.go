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
// set. Of Conn, InProcess and URL the first that is set is used; none of them means the
// NATS server on its usual local port.
type PublisherConfig struct {
	Source Source
	Rate   float64       // messages a second
	Burst  int           // messages between two looks at the clock and the context; 0 = 10 ms' worth
	MaxLag time.Duration // older messages are skipped after a stall; 0 = DefaultMaxLag

	Conn      *nats.Conn                 // stays open after Run
	InProcess nats.InProcessConnProvider // an embedded *server.Server, which need not listen on any port
	URL       string                     // "nats://127.0.0.1:4222", several separated by commas
}

// A Publisher sends a Source's messages to NATS at a constant rate, kept by intended
// times: message n is due n/rate seconds after the start, however late the ones before
// it were. After a stall it catches up in bursts, at no more than twice the rate, and
// gives up what is older than MaxLag.
//
// A message that is due while NATS is away is lost and counted; the Publisher goes on
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
	Failed  uint64        // refused by the NATS client, most often because it was not connected
	Skipped uint64        // never made: older than MaxLag
	MaxLate time.Duration // the most that a message left after its intended time
}

// NewPublisher checks the configuration. Run does the rest.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Source == nil {
		return nil, errors.New("loadtest: publisher without a source")
	}
	if !(cfg.Rate > 0) || math.IsInf(cfg.Rate, 1) {
		return nil, fmt.Errorf("loadtest: publisher rate %v is not a positive number", cfg.Rate)
	}
	if cfg.Burst <= 0 {
		cfg.Burst = max(1, int(min(cfg.Rate/100, 1<<20)))
	}
	if cfg.MaxLag <= 0 {
		cfg.MaxLag = DefaultMaxLag
	}
	return &Publisher{cfg: cfg, beat: metronome{cfg.Rate, uint64(cfg.Burst), cfg.MaxLag}}, nil
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

// Run publishes until ctx ends and then returns nil. It returns an error if the NATS
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
			if nc.IsConnected() {
				nc.FlushTimeout(writeTimeout) // what does not get out in time is lost, as in an outage
			}
			return nil
		case <-timer.C:
		}
		if nc.IsClosed() {
			return fmt.Errorf("loadtest: publish: %w", nats.ErrConnectionClosed)
		}
		now := time.Now()
		elapsed := now.Sub(start)
		skip, send, wake := p.beat.next(elapsed, done)
		p.skipped.Add(skip)
		done += skip
		up := nc.IsConnected()
		for range send {
			late := elapsed - p.beat.due(done)
			if int64(late) > p.late.Load() {
				p.late.Store(int64(late))
			}
			subject, payload := p.cfg.Source(buf[:0], now.Add(-late))
			if cap(payload) > cap(buf) {
				buf = payload
			}
			if up && nc.Publish(subject, payload) == nil {
				p.sent.Add(1)
			} else {
				p.failed.Add(1)
			}
			done++
		}
		timer.Reset(wake - time.Since(start))
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

// A metronome says when messages are due. It is a pure function of the time since the
// start, so it neither drifts nor needs a clock.
type metronome struct {
	rate   float64 // messages a second
	burst  uint64  // the most to send at once
	maxLag time.Duration
}

// due returns the intended time of message n, counted from the start.
func (m metronome) due(n uint64) time.Duration {
	const forever = math.MaxInt64
	if d := float64(n) / m.rate * float64(time.Second); d < forever {
		return time.Duration(d)
	}
	return forever
}

// next is asked at a time after the start when done messages have been sent or skipped.
// The next skip messages are to be given up, the send after them to be sent now, and at
// the time wake next wants to be asked again.
func (m metronome) next(elapsed time.Duration, done uint64) (skip, send uint64, wake time.Duration) {
	if elapsed < m.due(done) {
		return 0, 0, m.due(done)
	}
	// Messages 0 to total-1 are due by now. Rounding may put the last of them a
	// nanosecond off; it is then sent that much early or a turn later.
	total := max(done, uint64(elapsed.Seconds()*m.rate)+1)
	if lag := elapsed - m.due(done); lag > m.maxLag {
		oldest := uint64(math.Ceil((elapsed - m.maxLag).Seconds() * m.rate))
		skip = max(done, oldest) - done
	}
	done += skip
	if total < done {
		total = done
	}
	send = min(total-done, m.burst)
	if done+send < total {
		// Still behind: catch up at twice the rate.
		return skip, send, elapsed + m.due(send)/2
	}
	return skip, send, max(m.due(done+send), elapsed)
}
