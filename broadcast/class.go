package broadcast

import (
	"slices"
	"strings"
	"time"
)

// A Mode says what a topic owes its subscribers.
type Mode uint8

const (
	ModeLast Mode = iota // only the newest message matters: what a client is too slow for is replaced by it
	ModeAll              // every message matters: who is too slow is closed with a cursor to come back with
)

func (m Mode) String() string {
	if m == ModeAll {
		return "all"
	}
	return "last"
}

// A Payload says what upstream's bytes are.
type Payload uint8

const (
	PayloadJSON   Payload = iota // JSON, embedded as it is; other text becomes a JSON string
	PayloadText                  // text, always embedded as a JSON string
	PayloadBinary                // any bytes, for the codecs bin and raw only
)

// A Snapshot says what a new subscriber is sent first.
type Snapshot uint8

const (
	SnapshotMemory Snapshot = iota // the newest message that this process has seen
	SnapshotNone                   // nothing
	SnapshotStream                 // the newest message of the JetStream stream; sequences and history are the stream's too
)

// A Class is what the topics under a pattern have in common. The zero value of every field but Match is the default.
type Class struct {
	Match      string          // topics of this class, unless an earlier class matches them
	Subject    string          // the NATS subject behind them; see mapping. "" = the topic itself
	Mode       Mode            //
	Rates      []time.Duration // slower paces that clients may ask for; only with ModeLast
	Snapshot   Snapshot        //
	History    int             // messages of each topic that are kept for clients that come back
	HistoryTTL time.Duration   // how old they may be; 0 = any age
	StaleAfter time.Duration   // a topic silent for so long is called stale; 0 = never
	Delay      time.Duration   // how much later than received messages are sent
	Payload    Payload         //
	Plain      bool            // never compressed
	Always     bool            // upstream is asked from the start, not by the first subscriber
	Private    bool            // nobody may subscribe who has not proved who they are
}

// A class is a Class as the hub uses it.
type class struct {
	Class
	mapped  bool    // Subject is not the topic
	subject mapping // with mapped
	tiers   []uint8 // of Rates: indexes into Hub.rates

	stream *streamFeed  // with SnapshotStream
	silent *silenceList // with StaleAfter
	delay  *delayQueue  // with Delay
}

// newClasses returns the classes of a configuration, with the class of all other topics as the last, and the distinct rates;
// the first of these stands for "at once".
func newClasses(list []Class) (classes []*class, rates []time.Duration) {
	rates = []time.Duration{0}
	for _, c := range append(slices.Clone(list), Class{Match: ">"}) {
		k := &class{Class: c}
		if c.Subject != "" && c.Subject != c.Match {
			k.mapped, k.subject = true, newMapping(c.Match, c.Subject)
		}
		for _, r := range c.Rates {
			tier := slices.Index(rates, r)
			if tier < 0 {
				tier = len(rates)
				rates = append(rates, r)
			}
			k.tiers = append(k.tiers, uint8(tier))
		}
		if c.StaleAfter > 0 {
			k.silent = new(silenceList)
		}
		classes = append(classes, k)
	}
	return classes, rates
}

// MaxRates is how many different rates all classes together may have.
const MaxRates = 15

// classOf returns the class of a topic.
func (h *Hub) classOf(topic string) *class {
	for _, c := range h.classes {
		if Covers(c.Match, topic) {
			return c
		}
	}
	return h.classes[len(h.classes)-1] // not reached: the last one matches everything
}

// classOver returns the class that every topic under pattern belongs to, or nil if there may be several.
func (h *Hub) classOver(pattern string) *class {
	for _, c := range h.classes {
		if Covers(c.Match, pattern) {
			return c
		}
		if overlap(c.Match, pattern) {
			return nil
		}
	}
	return nil
}

// tier returns which of the class's rates r is: 0 for "at once", and false if it has no such rate.
func (h *Hub) tier(c *class, r time.Duration) (tier uint8, ok bool) {
	if r == 0 {
		return 0, true
	}
	for i, have := range c.Rates {
		if have == r {
			return c.tiers[i], true
		}
	}
	return 0, false
}

// sourceOf returns the NATS subject behind a topic or pattern of c.
func (c *class) sourceOf(topic string) string {
	if !c.mapped {
		return topic
	}
	return c.subject.apply(topic)
}

// A mapping turns topics into subjects and back. The subject of a class is written with $1, $2, ... for what the first,
// second, ... * of its match stands for; a > at the end of both stands for the same rest.
type mapping struct {
	from, to []string // tokens; those of to that begin with $ and a digit name a * of from
	star     []int    // by token of to: which * of from; -1 = none
}

func newMapping(match, subject string) mapping {
	m := mapping{from: strings.Split(match, "."), to: strings.Split(subject, ".")}
	for _, token := range m.to {
		m.star = append(m.star, starOf(token))
	}
	return m
}

// starOf returns n-1 for a token "$n", else -1.
func starOf(token string) int {
	if len(token) != 2 || token[0] != '$' || token[1] < '1' || token[1] > '9' {
		return -1
	}
	return int(token[1] - '1')
}

// pattern returns the pattern of all subjects.
func (m *mapping) pattern() string {
	tokens := slices.Clone(m.to)
	for i := range tokens {
		if m.star[i] >= 0 {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// apply returns the subject of a topic that matches, or of a pattern that the match covers.
func (m *mapping) apply(topic string) string {
	stars, rest := m.split(m.from, strings.Split(topic, "."))
	out := make([]string, 0, len(m.to)+len(rest))
	for i, token := range m.to {
		switch {
		case m.star[i] >= 0 && m.star[i] < len(stars):
			out = append(out, stars[m.star[i]])
		case token == ">":
			out = append(out, rest...)
		default:
			out = append(out, token)
		}
	}
	return strings.Join(out, ".")
}

// invert returns the topic behind a subject, and false if the subject is none of this mapping's.
func (m *mapping) invert(subject string) (topic string, ok bool) {
	if !Covers(m.pattern(), subject) {
		return "", false
	}
	tokens := strings.Split(subject, ".")
	out := make([]string, 0, len(tokens)+len(m.from))
	star := 0
	for _, token := range m.from {
		switch token {
		case "*":
			at := slices.Index(m.star, star)
			if at < 0 {
				return "", false
			}
			out = append(out, tokens[at])
			star++
		case ">":
			out = append(out, tokens[len(m.to)-1:]...)
		default:
			out = append(out, token)
		}
	}
	return strings.Join(out, "."), true
}

// split returns what the stars of pattern stand for in topic, and what its > stands for.
func (m *mapping) split(pattern, topic []string) (stars, rest []string) {
	for i, token := range pattern {
		switch {
		case token == ">":
			return stars, topic[min(i, len(topic)):]
		case i >= len(topic):
			return stars, nil
		case token == "*":
			stars = append(stars, topic[i])
		}
	}
	return stars, nil
}

// overlap reports whether some subject is matched by both patterns.
func overlap(a, b string) bool {
	for {
		x, arest, amore := strings.Cut(a, ".")
		y, brest, bmore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !amore || !bmore:
			return amore == bmore
		}
		a, b = arest, brest
	}
}
