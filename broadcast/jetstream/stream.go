package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/subject"
)

// A Stream is one JetStream stream. It is read and never written. All methods are safe for any goroutine.
type Stream struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	log     *slog.Logger
	api     string // the beginning of the subjects of JetStream's API, with a dot at the end
	name    string
	pattern string // a subject or pattern; see Source
	created time.Time
	state   atomic.Pointer[jetstream.StreamInfo] // the leader's latest answer
}

// A Message is one message of a stream.
type Message struct {
	Subject string
	Data    []byte
	Seq     uint64    // rises with each message of the stream
	Time    time.Time // when the stream stored the message
}

// newMessage returns a message that a consumer delivered.
func newMessage(m jetstream.Msg, meta *jetstream.MsgMetadata) Message {
	return Message{m.Subject(), m.Data(), meta.Sequence.Stream, meta.Timestamp}
}

// ErrWorkQueue is the refusal of a stream that can never be followed.
var ErrWorkQueue = errors.New("jetstream: the stream is a work queue, whose messages go to a single reader")

// ErrClosed ends Follow when the NATS connection was closed for good.
var ErrClosed = errors.New("jetstream: the nats connection was closed for good")

// ErrRewound ends Follow when the stream has lost its newest messages: its server crashed, or it was restored from a copy. It is still the
// stream of before, but its sequences are given out again.
var ErrRewound = errors.New("jetstream: the stream has lost its newest messages")

var (
	errNoStream = errors.New("jetstream: no stream holds the subject")
	errPart     = errors.New("jetstream: the stream holds only part of the subject")
	errChanged  = errors.New("jetstream: the stream was deleted and made anew")
)

// requestTimeout limits one request to JetStream.
const requestTimeout = 2 * time.Second

// Epoch identifies the stream by 8 characters A-Z, 2-7. It is the same on every node of the cluster and after restarts.
// A new stream of the same name has another epoch.
func (s *Stream) Epoch() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", s.name, s.created.UnixNano()))
	return base32.StdEncoding.EncodeToString(sum[:5])
}

// info asks the leader for the configuration and the state of the stream. The error is errChanged if a new stream of the
// same name answers, and errPart if the stream does not hold the whole pattern.
func (s *Stream) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := s.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, s.gone()
	}
	if err != nil {
		return nil, fmt.Errorf("jetstream: ask for stream %s: %w", s.name, err)
	}
	info := found.CachedInfo()
	if !s.created.IsZero() && !info.Created.Equal(s.created) {
		return nil, fmt.Errorf("%w: %s", errChanged, s.name)
	}
	if c := info.Config; ownSubjects(c) && !subject.CoveredBy(c.Subjects, s.pattern) {
		return nil, fmt.Errorf("%w: %s has %q, wanted is %q", errPart, s.name, c.Subjects, s.pattern)
	}
	s.state.Store(info)
	return info, nil
}

// gone returns the error of a stream that was deleted.
func (s *Stream) gone() error { return fmt.Errorf("%w any more: %s", errNoStream, s.name) }

// ownSubjects reports whether a stream with config c has only messages of the subjects that it listens to.
func ownSubjects(c jetstream.StreamConfig) bool {
	return c.Mirror == nil && len(c.Sources) == 0 && c.SubjectTransform == nil
}
