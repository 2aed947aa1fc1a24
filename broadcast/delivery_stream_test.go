package broadcast

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
)

// A scriptedStream is a JetStream stream whose consumer moves on only when the script says so.
type scriptedStream struct {
	epoch string
	steps chan func(to topics.StreamSink) error // carried out by Follow

	mu   sync.Mutex
	msgs []topics.StreamMessage // those that are still there
	last uint64
	read uint64 // by the consumer
}

// A streamUpstream agrees to all requests and has one stream, which may be replaced or away.
type streamUpstream struct {
	silentUpstream
	mu     sync.Mutex
	stream *scriptedStream // nil = there is none
	made   int
}

func (u *streamUpstream) OpenStream(context.Context, topics.StreamSource) (topics.Stream, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stream == nil {
		return nil, errors.New("no stream")
	}
	return u.stream, nil
}

// make makes a stream in place of the one before, if any.
func (u *streamUpstream) make() *scriptedStream {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.made++
	u.stream = &scriptedStream{epoch: fmt.Sprintf("STREAM%d", u.made), steps: make(chan func(topics.StreamSink) error)}
	return u.stream
}

func (s *scriptedStream) Epoch() string { return s.epoch }

func (s *scriptedStream) Follow(ctx context.Context, _ string, start topics.StreamStart, to topics.StreamSink) error {
	s.mu.Lock()
	if s.read = s.last; start.From > 0 {
		s.read = start.From - 1
	}
	after := s.read
	s.mu.Unlock()
	to.Placed(after)
	to.Current(true)
	for {
		select {
		case step := <-s.steps:
			if err := step(to); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// publish stores a message.
func (s *scriptedStream) publish(topic, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.msgs = append(s.msgs, topics.StreamMessage{Subject: topic, Data: []byte(payload), Seq: s.last})
}

// deliver lets the consumer read n messages.
func (s *scriptedStream) deliver(to topics.StreamSink, n int) {
	s.mu.Lock()
	list := slices.Clone(s.msgs)
	s.mu.Unlock()
	for _, m := range list {
		if m.Seq > s.read && n > 0 {
			if m.Seq > s.read+1 {
				to.Gap(s.read, m.Seq)
			}
			s.read = m.Seq
			to.Message(m)
			n--
		}
	}
}

// evict removes the oldest n messages.
func (s *scriptedStream) evict(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs = s.msgs[min(n, len(s.msgs)):]
}

func (s *scriptedStream) Newest(_ context.Context, pattern string, _ int) (list []topics.StreamMessage, upto uint64, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.msgs {
		if subject.Covers(pattern, m.Subject) && !slices.ContainsFunc(s.msgs[i+1:], func(n topics.StreamMessage) bool { return n.Subject == m.Subject }) {
			list = append(list, m)
		}
	}
	return list, s.last, nil
}

func (s *scriptedStream) Since(_ context.Context, pattern string, after, upto uint64, most int) (list []topics.StreamMessage, whole bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.msgs {
		if subject.Covers(pattern, m.Subject) && m.Seq > after && m.Seq <= upto && len(list) < most {
			list = append(list, m)
		}
	}
	whole = len(list) < most && (len(s.msgs) == 0 && s.last <= after || len(s.msgs) > 0 && s.msgs[0].Seq <= after+1)
	return list, whole, nil
}
