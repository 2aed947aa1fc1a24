package sim

import (
	"context"
	"fmt"
	"slices"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"tickcast/wsproto"
)

// A node is a server: the product's hub and shards over models of its sockets and of NATS. It implements topics.Upstream.
type node struct {
	w       *World
	id      int
	hub     *broadcast.Shards
	loops   []*loop
	links   []*link
	readers []*reader
	denied  int                // a topic that NATS denies; -1 = none
	known   [mostTopics]uint64 // the last message that was published before NATS knew a subscription to the topic
	brought [mostTopics]brought
	calm    [mostTopics]uint64 // the last message that was published before a fault of the node
	handed  [mostTopics]uint64 // the last message that was published before the topic went over to another connection
	next    int64              // when the hub's step is due
}

// A brought message is the newest one of a topic that came to a node, and its link.
type brought struct {
	by    *link
	index uint64
}

// A loop is an event loop: the outlet of a shard, and its queue of drains.
type loop struct {
	node   *node
	shard  *broadcast.Shard
	bySlot []*client
	due    bool
}

func newNode(w *World, id int) *node {
	u := &w.setup
	n := &node{w: w, id: id, denied: -1}
	classes, epochs := classesOf(u.History), 0
	classes[classDelayed].Always = u.Always > 0
	n.hub = broadcast.New(broadcast.Config{
		Config: topics.Config{
			Shards: u.Loops, MailboxMessages: u.Mailbox, ConflateAbove: u.Conflate, Linger: linger,
			Classes: classes, Clock: &w.clock,
			Epoch: func() string { epochs++; return fmt.Sprintf("N%dE%d", id, epochs) },
		},
		Subscribe: []string{">"}, Node: "sim", QueueBytes: u.Queue, CommandSteps: 1,
	})
	n.hub.Begin(n)
	n.next = w.clock.now
	for range u.Conns {
		n.links = append(n.links, &link{node: n, connected: true})
	}
	for i := range u.Loops {
		l := &loop{node: n, shard: n.hub.Shard(i)}
		n.loops = append(n.loops, l)
		l.shard.Attach(l, func() {
			if l.due {
				w.violate("node %d: loop %d was woken twice for one drain", id, i)
			}
			l.due = true
		})
	}
	for i := range streams {
		n.readers = append(n.readers, &reader{node: n, stream: w.streams[i], steps: n.hub.StreamSteps(classStreamAll + i)})
	}
	return n
}

// away tells the hub whether a link is away.
func (n *node) away() {
	n.hub.SetStale(slices.ContainsFunc(n.links, func(l *link) bool { return !l.connected }))
}

func (n *node) Subscribe(subject string) error {
	n.w.note("node %d subscribes to %s", n.id, subject)
	n.linkOf(subject).subscribe(subject)
	return nil
}

func (n *node) Unsubscribe(subject string) error {
	n.w.note("node %d unsubscribes from %s", n.id, subject)
	n.linkOf(subject).fence(entry{end: subject})
	return nil
}

func (n *node) Publish(string, []byte) error            { return topics.ErrAway }
func (n *node) Store(string, []byte, func(error)) error { return topics.ErrAway }
func (n *node) Counts() topics.UpstreamCounts           { return topics.UpstreamCounts{} }

// OpenStream is not called: the steps of a stream take its place.
func (n *node) OpenStream(context.Context, topics.StreamSource) (topics.Stream, error) {
	return nil, errNoStream
}

// disturb notes a fault: a hole, or a change of the subscriptions.
func (n *node) disturb() { n.calm = n.w.published }

// step is a turn of the hub.
func (n *node) step() { n.next = n.hub.Step() }

// drain is a turn of the loop: of all, of one step, or of as many as lie between two looks at the clock.
func (l *loop) drain(steps int) (busy bool) {
	if !l.due {
		return false
	}
	budget := wholeDay
	if steps > 0 {
		budget = 0
	}
	if steps == 1 {
		l.shard.LookAtClock()
	}
	if l.due = false; l.shard.Drain(budget) {
		l.due = true
	}
	return true
}

// checkMailbox checks that messages of topics of mode last do not queue: each of them has one place beyond Setup.Conflate entries.
func (l *loop) checkMailbox(i int) {
	if n, most := l.node.hub.Mailbox(i).Quotes(), l.node.w.setup.Conflate+mostTopics; n > most {
		l.node.w.violate("P1: %d messages of topics of mode last wait for a loop, at most %d may", n, most)
	}
}

// place gives c a slot.
func (l *loop) place(c *client) uint32 {
	slot := slices.Index(l.bySlot, nil)
	if slot < 0 {
		slot = len(l.bySlot)
		l.bySlot = append(l.bySlot, nil)
	}
	l.bySlot[slot] = c
	return uint32(slot)
}

// Write is part of broadcast.Outlet.
func (l *loop) Write(slot uint32, frames []byte, count int) (taken int, ok bool) {
	c := l.bySlot[slot]
	if c == nil {
		l.node.w.violate("a write to slot %d, where nobody is", slot)
		return len(frames), true
	}
	if c.breaks {
		l.node.w.met[metBroken]++
		c.leave()
		return 0, false
	}
	for ; count > 0 && taken < len(frames); count-- {
		m, err := parseTold(frames[taken:])
		if err != nil {
			c.violates("%v", err)
			return len(frames), true
		}
		if c.full && m.answer == nil {
			c.violates("a full socket was given %v", m)
		}
		taken += m.size
		if c.told(m); c.room > 0 && c.bytes > c.room {
			l.node.w.met[metFull]++
			c.full = true
			return taken, false
		}
	}
	return taken, !c.full
}

// Close is part of broadcast.Outlet.
func (l *loop) Close(slot uint32, code wsproto.StatusCode, reason string) {
	c := l.bySlot[slot]
	c.closed(code, reason, (l.node.w.clock.now/1000+int64(slot))%2 == 0)
}
