package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/subject"
)

// fetchedAtOnce is the number of messages in one request that takes the place of a consumer or of direct get.
const fetchedAtOnce = 512

// Last returns the newest message of each subject that pattern matches, by rising sequence, at most max of them. more
// reports that there are others, with higher sequences.
//
// Any server that has a copy of the stream may answer. It may be a moment behind, so Follow can have delivered newer
// messages already: the answer knows the stream up to the sequence upto. The leader knows all of it, for which upto is
// math.MaxUint64; it is asked for a subject of which a copy has no message, since such a copy does not say how far it has come.
func (s *Stream) Last(ctx context.Context, pattern string, max int) (msgs []Message, upto uint64, more bool, err error) {
	if s.state.Load().Config.AllowDirect {
		msgs, upto, more, err = s.lastDirect(ctx, pattern, max)
		known := len(msgs) > 0 || subject.IsPattern(pattern)
		if err == nil && known || err != nil && !errors.Is(err, errNoDirectGet) && !errors.Is(err, errTooManyLast) {
			return msgs, upto, more, err
		}
	}
	if subject.IsPattern(pattern) { // the consumer may be on any server
		if msgs, more, err = s.lastByConsumer(ctx, pattern, max); len(msgs) > 0 {
			upto = msgs[len(msgs)-1].Seq
		}
		return msgs, upto, more, err
	}
	m, err := s.get(ctx, getRequest{Last: pattern})
	if m == nil || err != nil {
		return nil, math.MaxUint64, false, err
	}
	return []Message{*m}, math.MaxUint64, false, nil
}

func (s *Stream) lastDirect(ctx context.Context, pattern string, max int) (msgs []Message, upto uint64, more bool, err error) {
	request := getRequest{LastOf: []string{pattern}, MaxBytes: pageBytes}
	for {
		request.Batch = max - len(msgs)
		page, end, err := s.direct(ctx, request)
		if err != nil {
			return nil, 0, false, err
		}
		msgs, upto = append(msgs, page...), end.upTo
		if end.pending == 0 || len(page) == 0 || len(msgs) >= max {
			return msgs, upto, end.pending > 0, nil
		}
		request.Seq, request.UpTo = msgs[len(msgs)-1].Seq+1, end.upTo // the answer was cut by its size
	}
}

// lastByConsumer serves streams without direct get, and patterns with more subjects than direct get answers (1024).
func (s *Stream) lastByConsumer(ctx context.Context, pattern string, max int) (msgs []Message, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	consumer, err := s.createConsumer(ctx, pattern, 0)
	if err != nil {
		return nil, false, err
	}
	defer s.deleteConsumer(consumer)
	pending := consumer.CachedInfo().NumPending
	want := int(min(pending, uint64(max)))
	index := make(map[string]int, want) // into msgs, by subject
	for count := 0; count < want; {
		batch, err := consumer.FetchNoWait(min(want-count, fetchedAtOnce))
		if err != nil {
			return nil, false, fmt.Errorf("jetstream: read newest messages: %w", err)
		}
		before := count
		for m := range batch.Messages() {
			count++
			msgs = keepNewest(msgs, index, m)
		}
		if err := cmp.Or(batch.Error(), ctx.Err()); err != nil {
			return nil, false, fmt.Errorf("jetstream: read newest messages: %w", err)
		}
		if count == before { // the others were removed meanwhile
			break
		}
	}
	slices.SortFunc(msgs, func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return msgs, pending > uint64(want), nil
}

// keepNewest adds m to msgs in place of an older message of its subject: the consumer goes on with new messages.
func keepNewest(msgs []Message, index map[string]int, m jetstream.Msg) []Message {
	meta, err := m.Metadata()
	if err != nil {
		return msgs
	}
	if i, ok := index[m.Subject()]; ok {
		msgs[i] = newMessage(m, meta)
		return msgs
	}
	index[m.Subject()] = len(msgs)
	return append(msgs, newMessage(m, meta))
}
