package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Sink receives the input of Follow. The goroutine that called Follow calls all methods. It reads on only after they
// return.
type Sink interface {
	// Ready is called once, before all other methods. Every message with a sequence above after will be delivered. The
	// newest message of the stream has the sequence last: up to there the messages are history.
	Ready(after, last uint64)

	// Message is called for each message, in the order of the stream, and never twice for one sequence.
	Message(m Message)

	// Gap reports that messages between after and before (both exclusive) may have been removed before they could be read.
	// The remaining ones still follow as messages.
	Gap(after, before uint64)

	// Current is called at each change, and reports whether messages now arrive for certain. Before the first call they do
	// not.
	Current(ok bool)
}

// A Start is the place where Follow begins.
type Start struct {
	From           uint64 // the first sequence; 0 = only new messages
	LastPerSubject bool   // the newest message of each subject, then new messages; From has no meaning
}

var errShorter = errors.New("the stream ends before the last message that was read")

// A reader is one call of Follow. It belongs to its goroutine.
type reader struct {
	stream *Stream
	to     Sink
	filter string

	last   uint64    // all messages up to this sequence were delivered or reported as a gap
	lastAt time.Time // when the stream stored the message last; zero = last is no message
	placed bool      // last has its first value

	newest    bool   // the newest message of each subject is still being read
	newestEnd uint64 // the upper bound of their sequences

	ready   bool   // Ready was called
	current bool   // as reported last
	whole   bool   // filter matches all messages of the stream
	shorter int    // attempts in a row that found the stream to end before last
	logged  string // the latest failure
}

func (r *reader) setCurrent(ok bool) {
	if r.current != ok {
		r.current = ok
		r.to.Current(ok)
	}
}

// logFailure warns once of each reason.
func (r *reader) logFailure(err error) {
	level := slog.LevelWarn
	if r.logged == err.Error() {
		level = slog.LevelDebug
	}
	r.logged = err.Error()
	r.stream.log.Log(context.Background(), level, "reading the stream is interrupted, trying on",
		"stream", r.stream.name, "after", r.last, "err", err)
}

// begin compares the stream with the reader's place. info is from a request after the consumer existed.
func (r *reader) begin(info *jetstream.StreamInfo, pending uint64) error {
	if info.State.LastSeq < r.last && r.placed {
		r.shorter++
		return errShorter
	}
	r.shorter = 0
	r.whole = holdsAll(r.filter, info.Config)
	r.reportReady(info.State.LastSeq)
	switch {
	case r.newest:
		r.beginNewest(info.State, pending)
	case r.whole:
		r.skipTo(info.State.FirstSeq)
	case r.last < info.State.LastSeq && !provesComplete(info, r.last, pending):
		r.to.Gap(r.last, info.State.LastSeq+1)
	}
	r.setCurrent(true)
	r.logged = ""
	return nil
}

// checkLast returns ErrRewound if the stream has another message in the place of the last one. One that was removed proves nothing.
func (r *reader) checkLast(ctx context.Context) error {
	if r.lastAt.IsZero() {
		return nil
	}
	m, err := r.stream.get(ctx, getRequest{Seq: r.last})
	if err == nil && m != nil && !m.Time.Equal(r.lastAt) {
		err = fmt.Errorf("%w: %s", ErrRewound, r.stream.name)
	}
	return err
}

func (r *reader) reportReady(streamLast uint64) {
	if r.ready {
		return
	}
	r.ready = true
	after := streamLast // only the newest of each subject is delivered of the older ones
	if r.placed {
		after = r.last
	}
	r.to.Ready(after, streamLast)
}

// beginNewest records the end of the newest messages. If an earlier consumer died among them, this one may skip messages
// that were published and replaced in the meantime. These are reported as a gap.
func (r *reader) beginNewest(state jetstream.StreamState, pending uint64) {
	if r.newestEnd > 0 && state.LastSeq > r.newestEnd {
		r.to.Gap(r.newestEnd, state.LastSeq+1)
	}
	r.newestEnd = state.LastSeq
	if pending == 0 && r.last == 0 { // no subject had a message, so every match is new
		r.newest, r.placed, r.last = false, true, max(state.FirstSeq, 1)-1
	}
}

// skipTo reports the messages before first as removed. The next message has the sequence first or a later one.
func (r *reader) skipTo(first uint64) {
	if first > r.last+1 {
		r.to.Gap(r.last, first)
		r.last, r.lastAt = first-1, time.Time{}
	}
}

// deliver delivers m unless an earlier consumer did, and reports a hole before it: in a whole stream a hole is a removed
// message. pending counts the messages that the consumer still has.
func (r *reader) deliver(m Message, pending uint64) {
	if m.Seq <= r.last {
		return // it was among the newest of each subject
	}
	if r.whole && !r.newest {
		r.skipTo(m.Seq)
	}
	r.last, r.lastAt = m.Seq, m.Time
	r.to.Message(m)
	if r.newest && (pending == 0 || m.Seq > r.newestEnd) {
		r.newest, r.placed = false, true
	}
}
