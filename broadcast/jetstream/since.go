package jetstream

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/subject"
)

// Since returns the messages of a subject or pattern with sequences above after, up to and including upto (0 = the newest
// of the stream now), oldest first, at most max. complete reports the proof that no message is missing:
//
//   - Limits remove the oldest messages of the stream or of a subject. So if the message after is one of the subject itself
//     and still there, all later ones are there too. This proof is free: reading begins with that message. It fails
//     for a pattern, whose other subjects may have lost messages, and for a mirror, whose origin has limits of its own.
//   - Otherwise the state and the limits of the stream must prove it; see provesComplete. The leader is asked last.
//   - A page must begin with the last message of the page before. Otherwise messages were removed during the reading.
//   - Any server with a copy may answer, and may be behind. Messages that it lacks up to upto are read from the leader.
//
// The clocks of the servers decide which messages age removes. Differences between these clocks are ignored.
func (s *Stream) Since(ctx context.Context, pattern string, after, upto uint64, max int) (msgs []Message, complete bool, err error) {
	if upto == 0 {
		info, err := s.info(ctx)
		if err != nil {
			return nil, false, err
		}
		if upto = info.State.LastSeq; upto < after {
			return nil, false, nil // after is from another life of the stream
		}
	}
	if upto <= after {
		return nil, true, nil
	}
	h := history{stream: s, pattern: pattern, after: after, upto: upto, max: max}
	if err := h.readPages(ctx); err != nil {
		return nil, false, err
	}
	msgs, more := h.within()
	if more || h.broken {
		return msgs, false, nil
	}
	c := s.state.Load().Config
	if h.anchored && !subject.IsPattern(pattern) && c.Retention == jetstream.LimitsPolicy && !c.AllowMsgTTL && c.Mirror == nil {
		return msgs, true, nil
	}
	info, err := s.info(ctx)
	if err != nil {
		return nil, false, err
	}
	return msgs, provesComplete(info, after, h.left()), nil
}

// A history is one call of Since.
type history struct {
	stream      *Stream
	pattern     string
	after, upto uint64
	max         int

	msgs     []Message // above after; some may be beyond upto
	unread   uint64    // matching messages of the stream beyond msgs
	anchored bool      // the message after itself was found
	broken   bool      // messages were removed during the reading
}

func (h *history) readPages(ctx context.Context) error {
	direct := h.stream.state.Load().Config.AllowDirect
	for !h.broken {
		before := len(h.msgs)
		err := h.readPage(ctx, direct)
		switch {
		case direct && errors.Is(err, errNoDirectGet):
			direct = false
			continue
		case err != nil:
			return err
		case len(h.msgs) > h.max || h.end() >= h.upto:
			return nil
		case !direct && h.unread == 0:
			return nil
		}
		direct = direct && h.unread > 0 && len(h.msgs) > before // else that server has no more, but the leader may
	}
	return nil
}

// end returns the sequence up to which all messages are read.
func (h *history) end() uint64 {
	if len(h.msgs) == 0 {
		return h.after
	}
	return h.msgs[len(h.msgs)-1].Seq
}

// readPage reads on. It begins with the last message again, which proves that no message behind it was removed.
func (h *history) readPage(ctx context.Context, direct bool) error {
	end, want := h.end(), h.max+2-len(h.msgs) // the last one again, and one to find out whether there are more than max
	var page []Message
	var err error
	if direct {
		page, h.unread, err = h.stream.directFrom(ctx, h.pattern, max(end, 1), want)
	} else {
		page, h.unread, err = h.stream.leaderFrom(ctx, h.pattern, max(end, 1), h.upto, want)
	}
	if err != nil {
		return err
	}
	again := len(page) > 0 && page[0].Seq == end
	switch {
	case again:
		page = page[1:]
		h.anchored = h.anchored || end == h.after
	case end > h.after:
		h.broken = true
	}
	h.msgs = append(h.msgs, page...)
	return nil
}

// within returns the messages up to upto, at most max. more reports whether there are others.
func (h *history) within() (msgs []Message, more bool) {
	n, _ := slices.BinarySearchFunc(h.msgs, h.upto+1, func(m Message, seq uint64) int { return cmp.Compare(m.Seq, seq) })
	return h.msgs[:min(n, h.max)], n > h.max
}

// left returns an upper bound of the number of messages above after of any one subject.
func (h *history) left() uint64 {
	count, most := make(map[string]uint64), uint64(0)
	for _, m := range h.msgs {
		count[m.Subject]++
		most = max(most, count[m.Subject])
	}
	if h.unread > math.MaxUint64-most {
		return math.MaxUint64
	}
	return most + h.unread
}
