package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	errNoDirectGet = errors.New("the stream does not allow direct get")
	errTooManyLast = errors.New("too many subjects for direct get")
)

// pageBytes limits one answer of direct get.
const pageBytes = 8 << 20

// A getRequest asks for messages of a stream; see ADR-31 of NATS. Only direct get knows the last four fields.
type getRequest struct {
	Seq      uint64   `json:"seq,omitempty"`
	Last     string   `json:"last_by_subj,omitempty"`
	Next     string   `json:"next_by_subj,omitempty"` // from Seq on
	LastOf   []string `json:"multi_last,omitempty"`
	UpTo     uint64   `json:"up_to_seq,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	MaxBytes int      `json:"max_bytes,omitempty"`
}

// A getEnd stands behind the last message of an answer.
type getEnd struct {
	pending uint64 // matching messages beyond the answer
	upTo    uint64 // the sequence that the answer reflects; only for LastOf
}

// directFrom returns at most n messages of a subject or pattern from the sequence seq on, and the number of those beyond.
func (s *Stream) directFrom(ctx context.Context, pattern string, seq uint64, n int) ([]Message, uint64, error) {
	msgs, end, err := s.direct(ctx, getRequest{Seq: seq, Next: pattern, Batch: n, MaxBytes: pageBytes})
	return msgs, end.pending, err
}

// direct asks any server that has a copy of the stream for messages. An answer without its end is an error.
func (s *Stream) direct(ctx context.Context, request getRequest) (msgs []Message, end getEnd, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			msgs, err = nil, fmt.Errorf("jetstream: direct get: %w", err)
		}
	}()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, end, err
	}
	inbox, answers := s.nc.NewInbox(), make(chan *nats.Msg)
	sub, err := s.nc.Subscribe(inbox, func(m *nats.Msg) { // NextMsg would take a message with a header Status 503 for an error
		select {
		case answers <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return nil, end, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails if the connection is closed
	if err := s.nc.PublishRequest(s.api+"DIRECT.GET."+s.name, inbox, body); err != nil {
		return nil, end, err
	}
	for {
		var m *nats.Msg
		select {
		case m = <-answers:
		case <-ctx.Done():
			return nil, end, ctx.Err()
		}
		switch {
		case m.Header == nil: // its publisher's headers cannot be read, nor can those behind them
			return nil, end, errNoDirectGet
		case lastOf(m.Header, jetstream.SequenceHeader) == "":
			end, err := parseEnd(m.Header, len(msgs))
			return msgs, end, err
		}
		got, err := parseDirect(m)
		if err != nil {
			return nil, end, err
		}
		msgs = append(msgs, got)
	}
}

// parseEnd reads the end of an answer of n messages.
func parseEnd(h nats.Header, n int) (end getEnd, err error) {
	switch status, reason := h.Get("Status"), h.Get("Description"); {
	case status == "204":
		end.upTo, _ = strconv.ParseUint(h.Get("Nats-UpTo-Sequence"), 10, 64) // not for every request
		end.pending, err = strconv.ParseUint(h.Get("Nats-Num-Pending"), 10, 64)
		return end, err
	case status == "404" && n == 0:
		return end, nil
	case status == "413":
		return end, errTooManyLast
	case status == "503":
		return end, errNoDirectGet
	default:
		return end, fmt.Errorf("%s %s", status, reason)
	}
}

// parseDirect reads one message of an answer.
func parseDirect(m *nats.Msg) (Message, error) {
	seq, err := strconv.ParseUint(lastOf(m.Header, jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Message{}, err
	}
	stored, err := time.Parse(time.RFC3339Nano, lastOf(m.Header, jetstream.TimeStampHeaer))
	return Message{lastOf(m.Header, jetstream.SubjectHeader), m.Data, seq, stored}, err
}

// lastOf returns the last value of a header: the server's. The publisher may have set the same header, as republished messages have it.
func lastOf(h nats.Header, key string) string {
	if values := h[key]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// leaderFrom is directFrom at the leader, which knows all messages of the stream but returns one at a time. It stops at the
// first message from upto on. The number of messages beyond is then unknown, and reported as the largest one.
func (s *Stream) leaderFrom(ctx context.Context, pattern string, seq, upto uint64, n int) (msgs []Message, unread uint64, err error) {
	for len(msgs) < n {
		m, err := s.next(ctx, pattern, seq)
		if err != nil {
			return nil, 0, err
		}
		if m == nil {
			return msgs, 0, nil
		}
		msgs, seq = append(msgs, *m), m.Seq+1
		if m.Seq >= upto {
			break
		}
	}
	return msgs, math.MaxUint64, nil
}

// next returns the first message of a subject or pattern from the sequence seq on, or nil without one.
func (s *Stream) next(ctx context.Context, pattern string, seq uint64) (*Message, error) {
	return s.get(ctx, getRequest{Seq: seq, Next: pattern})
}

// The codes of JetStream's errors.
const (
	codeNoMessage = 10037
	codeNoStream  = 10059
)

// get asks the leader for one message and returns nil without one.
func (s *Stream) get(ctx context.Context, request getRequest) (*Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	m, err := s.nc.RequestWithContext(ctx, s.api+"STREAM.MSG.GET."+s.name, body)
	if err != nil {
		return nil, fmt.Errorf("jetstream: get message: %w", err)
	}
	var answer struct {
		Error   *jetstream.APIError
		Message *Message
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, fmt.Errorf("jetstream: get message: %w", err)
	}
	switch e := answer.Error; {
	case e != nil && e.ErrorCode == codeNoMessage:
		return nil, nil
	case e != nil && e.ErrorCode == codeNoStream:
		return nil, s.gone()
	case e != nil:
		return nil, fmt.Errorf("jetstream: get message: %w", e)
	case answer.Message == nil:
		return nil, errors.New("jetstream: get message: neither message nor error")
	default:
		return answer.Message, nil
	}
}
