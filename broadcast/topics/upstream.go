package topics

import (
	"context"
	"errors"
	"time"
)

// An Upstream is where the messages come from: interest is turned into its subscriptions. Hub.Run calls all but Publish and
// Counts, from one goroutine.
type Upstream interface {
	// Subscribe asks for a subject or pattern. Its messages go to Hub.Deliver with that subject as their source.
	Subscribe(subject string) error

	// Unsubscribe begins the end of a subscription, which Hub.Ended decides at a place among the messages.
	Unsubscribe(subject string) error

	// OpenStream finds a stream. It fails with an error that wraps ErrClosed when upstream has ended.
	OpenStream(ctx context.Context, from StreamSource) (Stream, error)

	// Publish sends to everyone, this process included if it is subscribed. It does not block. Any goroutine may call it.
	Publish(topic string, data []byte) error

	// Store publishes to a stream. done is called once, from any goroutine, when the stream has stored the message or refused it, or
	// when that cannot be known any more. It does not block. Any goroutine may call it.
	Store(topic string, data []byte, done func(error)) error

	// Counts returns the figures since the start. Any goroutine may call it.
	Counts() UpstreamCounts
}

// UpstreamCounts are figures of an upstream since the start.
type UpstreamCounts struct {
	Dropped       uint64 // messages that the NATS client threw away, since the hub was too slow
	Conflated     uint64 // messages that a newer one replaced before they reached the hub
	Reconnects    uint64
	Published     uint64 // messages of clients
	PublishErrors uint64
	Refused       int // subscriptions that NATS refuses now
	Asked         int // lines to NATS that it has not answered
	Subscriptions int // those that end among them
	Places        int // in its tables of these; see Peak.Places
	Fences        int // of subscriptions that end
}

var (
	ErrAway   = errors.New("nats is not connected")
	ErrClosed = errors.New("the nats connection was closed for good")

	// ErrRewound ends Stream.Follow: the stream of the same epoch has lost its newest messages, and gives out their sequences again.
	ErrRewound = errors.New("the stream has gone back")
)

// A StreamSource says which stream is meant: the one that holds all messages of a subject or pattern.
type StreamSource struct {
	Pattern string
	Name    string // "" = it is looked for by the pattern
	Domain  string // "" = the connection's own
}

// A Stream is a stream of upstream's, which holds messages of the past. Any goroutine may call its methods.
type Stream interface {
	// Epoch names this stream in cursors, on every node alike.
	Epoch() string

	// Follow reads the messages whose subject matches filter, each once and in order, until ctx is done; then it returns nil. An error
	// that wraps ErrRewound says that positions in the stream mean nothing any more.
	Follow(ctx context.Context, filter string, start StreamStart, sink StreamSink) error

	// Newest returns the newest message of each subject that pattern matches, by rising sequence, at most most of them. A copy
	// of the stream that is behind may answer: upto is the sequence up to which it knows the stream.
	Newest(ctx context.Context, pattern string, most int) (msgs []StreamMessage, upto uint64, err error)

	// Since returns at most most messages of a subject or pattern with sequences after after, up to and including upto, the
	// oldest first. whole says that these are all there ever were, as far as that can be shown.
	Since(ctx context.Context, pattern string, after, upto uint64, most int) (msgs []StreamMessage, whole bool, err error)
}

// A StreamMessage is one message of a stream.
type StreamMessage struct {
	Subject string
	Data    []byte
	Seq     uint64    // in the stream: rising, seldom without holes for one subject
	Time    time.Time // when the stream took it
}

// A StreamStart is the place where Stream.Follow begins.
type StreamStart struct {
	From             uint64 // the first sequence; 0 = only messages from now on
	NewestPerSubject bool   // first the newest message of each subject, then messages from now on; From means nothing
}

// A StreamSink takes the messages of Stream.Follow, on the goroutine that called Follow, which reads no further meanwhile.
type StreamSink interface {
	// Placed is called once, before all else: every message after the sequence after will come.
	Placed(after uint64)

	// Message is called for each message, in the order of the stream, and never twice for one sequence.
	Message(m StreamMessage)

	// Gap says that some of the messages between after and before, both exclusive, may have been removed from the stream before
	// they could be read. The others still follow.
	Gap(after, before uint64)

	// Current says whether messages are sure to arrive right now. It is called when that changes; at first it is not so.
	Current(ok bool)
}
