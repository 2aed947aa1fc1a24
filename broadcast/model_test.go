package broadcast

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire/wiretest"
)

// A model knows in the plainest way the messages that each client must get: it has no lists to walk, no slices and no
// positions. Payloads are numbers that grow, so that order, loss and doubling show by themselves.
type model struct {
	t         testing.TB
	trace     func() string // the operations so far
	published uint64
	newest    map[string]uint64 // payload by topic, as long as some interest matches the topic
	wanted    map[string]bool   // the interests of the hub
	sequence  map[string]uint64 // payload by topic and sequence number: one for one
	latest    map[string]uint64 // payload published last by topic
	clients   []*modelClient
	lossy     bool // mailboxes overflow: clients are not told how many messages were conflated there
	stale     bool
}

// A modelClient is a client and its socket.
type modelClient struct {
	name   string
	shard  int
	slot   uint32
	joined bool
	held   []string

	full    bool // the socket takes no more bytes
	blocked bool // a write was not taken whole: data must not be written until Writable
	breaks  bool // the connection ends at the next write

	last   map[string]told   // by topic: its last message, kept when the client comes back as another connection
	must   map[uint64]string // payloads that it is owed, with their topics
	lagged uint64            // number of them that lag reported as conflated
	spare  uint64            // more that may be conflated: replaced snapshots, and messages that it gave up by unsubscribing
	stale  bool              // was told stale last
	acked  string            // the last answer
	snaps  map[string]uint64 // payloads of snapshots since the last command, by topic

	question *question // its subscription, until it is answered; nil = none
}

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), m.trace())
}

func (c *modelClient) holds(topic string) bool {
	return slices.ContainsFunc(c.held, func(p string) bool { return subject.Covers(p, topic) })
}

// publish notes a message that is about to be published.
func (m *model) publish(topic string) (payload string) {
	m.published++
	m.latest[topic] = m.published
	if slices.ContainsFunc(slices.Collect(maps.Keys(m.wanted)), func(p string) bool { return subject.Covers(p, topic) }) {
		m.newest[topic] = m.published
	}
	for _, c := range m.clients {
		if c.joined && c.holds(topic) {
			c.must[m.published] = topic
		}
	}
	return strconv.FormatUint(m.published, 10)
}

// ended notes that the hub has given up an interest.
func (m *model) ended(name string) {
	delete(m.wanted, name)
	for topic := range m.newest {
		kept := false
		for p := range m.wanted {
			kept = kept || subject.Covers(p, topic)
		}
		if !kept {
			delete(m.newest, topic)
		}
	}
}

// subscribed notes that c holds name from now on. It returns the snapshots that c must get, if nothing is in flight.
func (m *model) subscribed(c *modelClient, name string) map[string]uint64 {
	m.wanted[name] = true
	if slices.Contains(c.held, name) {
		return nil
	}
	c.held = append(c.held, name)
	due := make(map[string]uint64)
	for topic, payload := range m.newest {
		if subject.Covers(name, topic) {
			due[topic] = payload
		}
	}
	return due
}

func (m *model) unsubscribed(c *modelClient, name string) {
	c.held = slices.DeleteFunc(c.held, func(p string) bool { return p == name })
	for payload, topic := range c.must {
		if !c.holds(topic) {
			delete(c.must, payload)
			c.spare++
		}
	}
}

func (m *model) left(c *modelClient) {
	c.joined, c.full, c.blocked, c.breaks, c.question = false, false, false, false, nil
	c.held = nil
	clear(c.must)
	c.lagged, c.spare = 0, 0
}

// told checks a frame that is written to c.
func (m *model) told(c *modelClient, frame []byte) {
	msg, err := wiretest.ParseTold(frame)
	switch {
	case err != nil:
		m.fatalf("%s was sent %q: %v", c.name, frame, err)
	case !c.joined:
		m.fatalf("%s is gone and was told %s", c.name, msg.Short())
	case c.blocked && msg.Op != "ack" && msg.Op != "err": // answers alone may wait with the outlet
		m.fatalf("%s has a full socket and was told %s", c.name, msg.Short())
	case msg.Op == "ack" || msg.Op == "err":
		payload, _ := wiretest.PayloadOf(frame)
		if c.acked = string(payload); c.question != nil { // the snapshots behind it are its own
			clear(c.snaps)
			m.answered(c)
		}
	case msg.Op == "stale" || msg.Op == "fresh":
		if c.stale == (msg.Op == "stale") {
			m.fatalf("%s was told %s twice", c.name, msg.Op)
		}
		c.stale = !c.stale
	case msg.Op == "lag":
		c.lagged += msg.Conflated
	case msg.Op == "hello":
	case msg.Op != "":
		m.fatalf("%s was told %s", c.name, msg.Op)
	default:
		m.update(c, msg)
	}
}

// answered notes that c holds the topics of a command for several from now on, but not before.
func (m *model) answered(c *modelClient) {
	for _, name := range c.question.fresh {
		c.held = append(c.held, name)
		m.wanted[name] = true
	}
	c.spare += c.question.spare + m.published - c.question.published // it may see these, and conflated
}

// update checks a data frame.
func (m *model) update(c *modelClient, msg told) {
	payload, err := strconv.ParseUint(string(msg.D), 10, 64)
	id := msg.T + " " + strconv.FormatUint(msg.S, 10)
	known := m.sequence[id]
	m.sequence[id] = payload
	last := c.last[msg.T]
	before, _ := strconv.ParseUint(string(last.D), 10, 64)
	switch {
	case err != nil || known != 0 && known != payload:
		m.fatalf("%s: the payload of %s was %d once and is %s", c.name, id, known, msg.D)
	case !c.holds(msg.T):
		m.fatalf("%s does not hold it and was told %s", c.name, msg.Short())
	case payload < before || msg.S < last.S || (msg.S == last.S) != (payload == before):
		m.fatalf("%s was told %s after %s", c.name, msg.Short(), last.Short())
	case payload == before && msg.K != "snap":
		m.fatalf("%s was told %s twice", c.name, msg.Short())
	}
	if msg.K == "snap" {
		if c.snaps[msg.T] != 0 {
			m.fatalf("%s got two snapshots: %s", c.name, msg.Short())
		}
		c.snaps[msg.T] = payload
	}
	c.last[msg.T] = msg
	delete(c.must, payload)
}

// settled checks a client when all messages are delivered and its socket is empty.
func (m *model) settled(c *modelClient) {
	if c.stale != m.stale {
		m.fatalf("%s was told stale: %v, upstream is stale: %v", c.name, c.stale, m.stale)
	}
	for topic, payload := range m.newest {
		if got := string(c.last[topic].D); c.holds(topic) && got != strconv.FormatUint(payload, 10) {
			m.fatalf("%s holds %s, whose newest is %d, and was told %q last", c.name, strings.Join(c.held, " "), payload, c.last[topic].Short())
		}
	}
	if missing := uint64(len(c.must)); !m.lossy && (missing > c.lagged || c.lagged > missing+c.spare) {
		m.fatalf("%s misses %v and was told of %d conflated messages (and %d more may be)", c.name, c.must, c.lagged, c.spare)
	}
	clear(c.must)
	c.lagged, c.spare = 0, 0
}
