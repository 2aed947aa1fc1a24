package upstream

import (
	"context"
	"errors"
	"fmt"

	"tickcast/broadcast/jetstream"
	"tickcast/broadcast/topics"
)

// OpenStream finds a stream; see jetstream.Open. It belongs to the current connection of nats.go. After that is closed for
// good, all calls of the stream fail, and it has to be opened again.
func (n *NATS) OpenStream(ctx context.Context, from topics.StreamSource) (topics.Stream, error) {
	s, err := jetstream.Open(ctx, n.conns[0].current(), jetstream.Source(from), n.log)
	if err != nil {
		return nil, err
	}
	return stream{s}, nil
}

// CheckStreams returns an error for each stream of sources that can never be read. It skips streams that do not exist yet,
// all of them while NATS is away, and the rest when ctx ends: Run waits for them.
func (n *NATS) CheckStreams(ctx context.Context, sources []topics.StreamSource) (err error) {
	for _, from := range sources {
		if ctx.Err() != nil || !n.conns[0].current().IsConnected() {
			break
		}
		if _, e := n.OpenStream(ctx, from); errors.Is(e, jetstream.ErrWorkQueue) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// A stream is a topics.Stream.
type stream struct{ s *jetstream.Stream }

func (s stream) Epoch() string { return s.s.Epoch() }

func (s stream) Follow(ctx context.Context, filter string, start topics.StreamStart, to topics.StreamSink) error {
	err := s.s.Follow(ctx, filter, jetstream.Start{From: start.From, LastPerSubject: start.NewestPerSubject}, sink{to})
	if errors.Is(err, jetstream.ErrRewound) {
		return fmt.Errorf("%w: %w", topics.ErrRewound, err)
	}
	return err
}

func (s stream) Newest(ctx context.Context, pattern string, most int) ([]topics.StreamMessage, uint64, error) {
	list, upto, _, err := s.s.Last(ctx, pattern, most)
	return messages(list), upto, err
}

func (s stream) Since(ctx context.Context, pattern string, after, upto uint64, most int) ([]topics.StreamMessage, bool, error) {
	list, whole, err := s.s.Since(ctx, pattern, after, upto, most)
	return messages(list), whole, err
}

func messages(list []jetstream.Message) (msgs []topics.StreamMessage) {
	for _, m := range list {
		msgs = append(msgs, topics.StreamMessage(m))
	}
	return msgs
}

// A sink is the jetstream.Sink in front of a hub's.
type sink struct{ topics.StreamSink }

func (s sink) Ready(after, _ uint64) { s.Placed(after) }

func (s sink) Message(m jetstream.Message) { s.StreamSink.Message(topics.StreamMessage(m)) }
