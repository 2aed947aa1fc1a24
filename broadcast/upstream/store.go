package upstream

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/topics"
)

const (
	storesAtMost  = 4096            // messages that wait for the answer of a stream. Chosen by us
	storePatience = 4 * time.Second // for it; a client waits for at most parkedPatience of package broadcast
)

// stores publishes messages to streams, and hands on the answers. NATS.send calls its methods, unless their comment says
// otherwise.
type stores struct {
	nc *nats.Conn
	js jetstream.JetStream // of nc

	mu      sync.Mutex
	waiting map[*nats.Msg]func(error)
}

// publish sends a message. Its answer goes to o.done, unless publish returns an error.
func (s *stores) publish(nc *nats.Conn, o outgoing) error {
	if s.nc != nc {
		js, err := jetstream.New(nc,
			jetstream.WithPublishAsyncMaxPending(2*storesAtMost), // with more, nats.go would block
			jetstream.WithPublishAsyncTimeout(storePatience),
			jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { s.answer(m, nil) }),
			jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { s.answer(m, err) }))
		if err != nil {
			return fmt.Errorf("upstream: publish to a stream: %w", err)
		}
		s.nc, s.js = nc, js
	}
	m := &nats.Msg{Subject: o.topic, Data: o.data}
	if !s.add(m, o.done) {
		return errOutgoingFull
	}
	if _, err := s.js.PublishMsgAsync(m); err != nil {
		s.remove(m)
		return err
	}
	return nil
}

// add registers done for the answer to m. It reports false if too many messages wait.
func (s *stores) add(m *nats.Msg, done func(error)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= storesAtMost {
		return false
	}
	if s.waiting == nil {
		s.waiting = make(map[*nats.Msg]func(error))
	}
	s.waiting[m] = done
	return true
}

// remove returns the function that waits for the answer to m, or nil. Any goroutine may call it.
func (s *stores) remove(m *nats.Msg) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.waiting[m]
	delete(s.waiting, m)
	return done
}

// answer hands on an answer. Goroutines of nats.go call it.
func (s *stores) answer(m *nats.Msg, err error) {
	if done := s.remove(m); done != nil {
		done(reasonOf(err))
	}
}

// reasonOf returns err as a client may read it.
func reasonOf(err error) error {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("the stream refused the message: %s", refused.Description)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return errors.New("no stream took the message")
	case errors.Is(err, jetstream.ErrAsyncPublishTimeout):
		return topics.ErrUnanswered
	default:
		return err
	}
}
