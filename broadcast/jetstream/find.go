package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Source identifies a stream.
type Source struct {
	Pattern string // a subject or pattern; the stream holds all its messages
	Name    string // of the stream; "" = Open searches by the pattern, which does not find mirrors
	Domain  string // of JetStream; "" = the one of the connection's account
}

// Open finds a stream, and fails without one. A stream that holds only a part of the pattern does not count: the missing messages
// would look like silence. Nor does a work queue, whose messages go to a single reader.
func Open(ctx context.Context, nc *nats.Conn, from Source, log *slog.Logger) (*Stream, error) {
	proto := &Stream{nc: nc, log: log, api: jetstream.DefaultAPIPrefix}
	js, err := jetstream.New(nc)
	if from.Domain != "" {
		proto.api = "$JS." + from.Domain + ".API."
		js, err = jetstream.NewWithDomain(nc, from.Domain)
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: find stream: %w", err)
	}
	proto.js = js
	if from.Name != "" {
		return proto.open(ctx, from.Name, from.Pattern)
	}
	names := js.StreamNames(ctx, jetstream.WithStreamListSubject(from.Pattern)) // those that overlap with it
	for name := range names.Name() {
		s, err := proto.open(ctx, name, from.Pattern)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, errPart):
			log.Warn("a stream is left out", "err", err)
		case !errors.Is(err, errNoStream):
			return nil, err
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("jetstream: find stream: %w", err)
	}
	return nil, fmt.Errorf("%w %q", errNoStream, from.Pattern)
}

// open returns the stream of a name, with the connection of s.
func (s *Stream) open(ctx context.Context, name, pattern string) (*Stream, error) {
	found := &Stream{nc: s.nc, js: s.js, log: s.log, api: s.api, name: name, pattern: pattern}
	info, err := found.info(ctx)
	if err != nil {
		return nil, err
	}
	if info.Config.Retention == jetstream.WorkQueuePolicy {
		return nil, fmt.Errorf("%w: %s", ErrWorkQueue, name)
	}
	found.created = info.Created
	found.warn(info.Config, pattern)
	return found, nil
}

// warn logs settings that make losses invisible, cursors unreliable or reading slow.
func (s *Stream) warn(c jetstream.StreamConfig, pattern string) {
	if !holdsAll(pattern, c) && (c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxMsgsPerSubject > 0) {
		s.log.Info("the stream has other messages too, those of the topics that its limits remove too soon are missed unseen", "stream", s.name)
	}
	if c.Storage == jetstream.MemoryStorage && c.Replicas <= 1 {
		s.log.Warn("the stream starts again from 1 when its server restarts, and nothing shows it", "stream", s.name)
	}
	if !c.AllowDirect {
		s.log.Info("the stream does not allow direct get, its leader is asked for each message", "stream", s.name)
	}
}
