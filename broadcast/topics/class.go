package topics

import (
	"slices"
	"sync/atomic"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
)

// A Mode is the promise of a topic to its subscribers.
type Mode uint8

const (
	ModeLast Mode = iota // only the newest message matters: it replaces the messages that a client is too slow for
	ModeAll              // every message matters: a client that is too slow is closed with a cursor to come back with
)

func (m Mode) String() string {
	if m == ModeAll {
		return "all"
	}
	return "last"
}

// A Snapshot is the source of a new subscriber's first message.
type Snapshot uint8

const (
	SnapshotMemory Snapshot = iota // the newest message that this process has seen
	SnapshotNone                   // no first message
	SnapshotStream                 // the newest message of the JetStream stream, which also gives sequences and history
)

// A Class holds the common properties of the topics under a pattern. The zero value of every field but Match is the default.
type Class struct {
	Match      string          // pattern of its topics; an earlier class takes precedence
	Subject    string          // the NATS subject behind them, see subject.Mapping; "" = the topic itself
	Mode       Mode            //
	Rates      []time.Duration // slower paces that clients may ask for; only with ModeLast
	Snapshot   Snapshot        //
	History    int             // messages of each topic that are kept for clients that come back
	HistoryTTL time.Duration   // their longest age; 0 = any age
	StaleAfter time.Duration   // silence after which a topic is called stale; 0 = never
	Delay      time.Duration   // time between receipt and sending
	Payload    wire.Payload    //
	Plain      bool            // never compressed
	Stream     string          // with SnapshotStream: its name; "" = the one that holds all subjects of the class
	Domain     string          // of that stream; "" = the connection's own
	Always     bool            // upstream is asked from the start, not by the first subscriber
	Private    bool            // closed to clients without a token that names its topics

	// Set by New, immutable afterwards.
	depth   int             // see Config.PayloadDepth
	asText  *atomic.Uint64  // payloads that should be JSON and were not; any goroutine
	queues  *queueAccount   // of all classes; nil in tests without a hub
	index   int             // into classes
	mapped  bool            // Subject is not the topic
	mapping subject.Mapping // with mapped
	tiers   []uint8         // of Rates: indexes into Hub.Rates

	cursor func(Position) string // Hub.Cursor
}

// MaxRates is the largest number of different rates of all classes together.
const MaxRates = 15

// Mapped reports whether the topics of c have other names than their subjects.
func (c *Class) Mapped() bool { return c.mapped }

// SubjectOf returns the NATS subject behind a topic or pattern of c.
func (c *Class) SubjectOf(topic string) string {
	if !c.mapped {
		return topic
	}
	return c.mapping.Apply(topic)
}

// Source says which stream is behind c; see Streamed.
func (c *Class) Source() StreamSource { return StreamSource{c.subjects(), c.Stream, c.Domain} }

// topicOf returns the topic behind a subject, and false if c maps no topic onto that subject.
func (c *Class) topicOf(subject string) (topic string, ok bool) {
	if !c.mapped {
		return subject, true
	}
	return c.mapping.Invert(subject)
}

// subjects returns the pattern of all subjects of c.
func (c *Class) subjects() string {
	if !c.mapped {
		return c.Match
	}
	return c.mapping.Pattern()
}

// data returns the JSON that JSON clients receive for a payload, and false for a payload that no client may receive; see
// wire.Payload. It counts text where JSON should be.
func (c *Class) data(payload []byte) (data []byte, ok bool) {
	data, embedded, ok := c.Payload.Data(payload, c.depth)
	if ok && !embedded && c.Payload == wire.PayloadJSON {
		c.asText.Add(1)
	}
	return data, ok
}

// Tier returns the index of a rate in Hub.Rates: 0 for "at once", and false if c has no such rate.
func (c *Class) Tier(rate time.Duration) (tier uint8, ok bool) {
	if rate == 0 {
		return 0, true
	}
	if i := slices.Index(c.Rates, rate); i >= 0 {
		return c.tiers[i], true
	}
	return 0, false
}

// Feed returns the number of the sequence that c's topics belong to: 0 = the hub's own; that of a stream is the class's alone.
// Numbers are below Hub.Feeds.
func (c *Class) Feed() int {
	if c.Streamed() {
		return c.index + 1
	}
	return 0
}

// Streamed reports whether a JetStream stream is behind c.
func (c *Class) Streamed() bool { return c.Snapshot == SnapshotStream }

// classes are all classes of a hub, in the order of precedence. The last one matches every topic.
type classes []*Class

// newClasses returns the classes of a configuration, with a class of all other topics at the end, and the distinct rates,
// of which the first stands for "at once".
func newClasses(list []Class, depth int) (cs classes, rates []time.Duration) {
	queues := new(queueAccount)
	rates = []time.Duration{0}
	for i, c := range append(slices.Clone(list), Class{Match: ">"}) {
		c.index, c.depth, c.asText, c.queues = i, depth, new(atomic.Uint64), queues
		if c.Subject != "" && c.Subject != c.Match {
			c.mapped, c.mapping = true, subject.NewMapping(c.Match, c.Subject)
		}
		for _, r := range c.Rates {
			tier := slices.Index(rates, r)
			if tier < 0 {
				tier = len(rates)
				rates = append(rates, r)
			}
			c.tiers = append(c.tiers, uint8(tier))
		}
		cs = append(cs, &c)
	}
	return cs, rates
}

// of returns the class of a topic.
func (cs classes) of(topic string) *Class {
	for _, c := range cs {
		if subject.Covers(c.Match, topic) {
			return c
		}
	}
	return cs[len(cs)-1] // not reached: the last one matches everything
}

// private reports whether some of the topics under name, a topic or pattern, are closed to clients without a token, and whether
// all of them are. Topics that an earlier class takes count too; a pattern that may hold some is one that holds some.
func (cs classes) private(name string) (some, all bool) {
	all = true
	for _, c := range cs {
		if !subject.Overlap(c.Match, name) {
			continue
		}
		some, all = some || c.Private, all && c.Private
		if subject.Covers(c.Match, name) {
			break
		}
	}
	return some, all
}

// over returns the class of all topics under pattern, or nil if there may be several.
func (cs classes) over(pattern string) *Class {
	for _, c := range cs {
		if subject.Covers(c.Match, pattern) {
			return c
		}
		if subject.Overlap(c.Match, pattern) {
			return nil
		}
	}
	return nil
}
