package broadcast

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A model knows in the plainest way what each client must have been told: it has no lists to walk, no slices and no
// positions. Payloads are numbers that grow, so that order, loss and doubling show by themselves.
type model struct {
	t         testing.TB
	trace     func() string // what has been done so far
	published uint64
	newest    map[string]uint64 // payload by topic, as long as some interest matches the topic
	wanted    map[string]bool   // the interests of the hub
	sequence  map[string]uint64 // payload by topic and sequence number: one for one
	clients   []*modelClient
	lossy     bool // mailboxes overflow: what is conflated there nobody is told one by one
	stale     bool
}

// A modelClient is a client and its socket.
type modelClient struct {
	name   string
	shard  int
	slot   uint32
	joined bool
	held   []string

	full    bool // the socket takes nothing more
	blocked bool // a write was not taken whole: data must not be written until Writable
	breaks  bool // the connection ends at the next write

	last   map[string]told   // by topic: the last it was told, kept when it comes back as another connection
	must   map[uint64]string // payloads that it is owed, with their topics
	lagged uint64            // how many of them it was told to be conflated
	spare  uint64            // how many more may have been: replaced snapshots, and messages that it gave up by unsubscribing
	stale  bool              // what it was told
	acked  string            // the last answer
	snaps  map[string]uint64 // payloads of snapshots since the last command, by topic
}

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), m.trace())
}

func (c *modelClient) holds(topic string) bool {
	return slices.ContainsFunc(c.held, func(p string) bool { return naiveMatch(p, topic) })
}

// publish notes a message that is about to be published.
func (m *model) publish(topic string) (payload string) {
	m.published++
	if slices.ContainsFunc(slices.Collect(maps.Keys(m.wanted)), func(p string) bool { return naiveMatch(p, topic) }) {
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
			kept = kept || naiveMatch(p, topic)
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
		if naiveMatch(name, topic) {
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
	c.joined, c.full, c.blocked, c.breaks = false, false, false, false
	c.held = nil
	clear(c.must)
	c.lagged, c.spare = 0, 0
}

// told judges a frame that is written to c.
func (m *model) told(c *modelClient, frame []byte) {
	msg, err := parseTold(frame)
	switch {
	case err != nil:
		m.fatalf("%s was sent %q: %v", c.name, frame, err)
	case !c.joined:
		m.fatalf("%s is gone and was told %s", c.name, msg.short())
	case c.blocked && msg.Op != "ack" && msg.Op != "err": // answers alone may wait with the outlet
		m.fatalf("%s has a full socket and was told %s", c.name, msg.short())
	case msg.Op == "ack" || msg.Op == "err":
		payload, _ := payloadOf(frame)
		c.acked = string(payload)
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

// update judges a data frame.
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
		m.fatalf("%s does not hold it and was told %s", c.name, msg.short())
	case payload < before || msg.S < last.S || (msg.S == last.S) != (payload == before):
		m.fatalf("%s was told %s after %s", c.name, msg.short(), last.short())
	case payload == before && msg.K != "snap":
		m.fatalf("%s was told %s twice", c.name, msg.short())
	}
	if msg.K == "snap" {
		if c.snaps[msg.T] != 0 {
			m.fatalf("%s got two snapshots: %s", c.name, msg.short())
		}
		c.snaps[msg.T] = payload
	}
	c.last[msg.T] = msg
	delete(c.must, payload)
}

// settled judges a client when everything has been delivered and its socket is empty.
func (m *model) settled(c *modelClient) {
	if c.stale != m.stale {
		m.fatalf("%s was told stale: %v, upstream is stale: %v", c.name, c.stale, m.stale)
	}
	for topic, payload := range m.newest {
		if got := string(c.last[topic].D); c.holds(topic) && got != strconv.FormatUint(payload, 10) {
			m.fatalf("%s holds %s, whose newest is %d, and was told %q last", c.name, strings.Join(c.held, " "), payload, c.last[topic].short())
		}
	}
	if missing := uint64(len(c.must)); !m.lossy && (missing > c.lagged || c.lagged > missing+c.spare) {
		m.fatalf("%s misses %v and was told of %d conflated messages (and %d more may be)", c.name, c.must, c.lagged, c.spare)
	}
	clear(c.must)
	c.lagged, c.spare = 0, 0
}
