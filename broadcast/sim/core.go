package sim

import (
	"fmt"
	"slices"
	"strconv"
)

// A link is a connection of a node to core NATS. Messages are first on the wire, where a cut loses them, and then in the
// channel inside the process, where only too many are lost. A loss is an entry of the channel, as in package upstream.
type link struct {
	node      *node
	connected bool
	frozen    bool // half open: nothing comes, and nobody is told
	subs      []*subscription
	wire      []entry
	channel   []entry
	fences    []entry  // that stand at the end of the connection
	refused   []string // subjects that NATS has refused since the connection
}

// A subscription is one of a link's.
type subscription struct {
	subject string
	topics  []int
	live    bool               // NATS knows it
	was     bool               // NATS knew it at some time
	refused bool               // NATS refused or took it
	from    [mostTopics]uint64 // the messages that were published before NATS granted it
}

// An entry is on its way from NATS to the hub.
type entry struct {
	sub    *subscription
	topic  int
	index  uint64
	lost   []string // not nil: a hole, of these subscriptions
	denied string   // not empty: NATS refuses this subscription, or takes it

	granted string // not empty: NATS grants this subscription, which it refused
	end     string // not empty: the fence that ends this subscription
	over    uint64 // not 0: the fence of a handover from another link,
	from    string // of this subscription's topics
	up      bool   // the connection is there again; messages published meanwhile are lost
}

func (e *entry) String() string {
	switch {
	case e.lost != nil:
		return fmt.Sprintf("a hole of %v", e.lost)
	case e.denied != "":
		return "a denial of " + e.denied
	case e.up:
		return "a hole of the time without NATS"
	case e.granted != "":
		return "a grant of " + e.granted
	case e.end != "":
		return "the end of " + e.end
	case e.over > 0:
		return fmt.Sprintf("the fence of handover %d", e.over)
	}
	return fmt.Sprintf("%s %d by %s", universe[e.topic].name, e.index, e.sub.subject)
}

func (l *link) subscribe(name string) {
	s := &subscription{subject: name, topics: topicsUnderSubject(name)}
	l.subs = append(l.subs, s)
	if l.connected {
		l.register(s)
	}
}

// register makes NATS know a subscription, or refuse it.
func (l *link) register(s *subscription) {
	if d := l.node.denied; d >= 0 && slices.Contains(s.topics, d) {
		l.node.w.met[metDenied]++
		s.refused = true
		l.channel = append(l.channel, entry{denied: s.subject})
		return
	}
	l.grant(s)
}

// grant notes that NATS knows a subscription.
func (l *link) grant(s *subscription) {
	if !s.was || s.refused {
		s.from = l.node.w.published
	}
	s.live, s.refused = true, false
	for _, t := range s.topics {
		if !s.was {
			l.node.known[t] = max(l.node.known[t], l.node.broughtFrom(t))
		}
	}
	s.was = true
}

// broughtFrom returns the number of the message of a topic behind which some subscription of n brings all.
func (n *node) broughtFrom(topic int) uint64 {
	from := n.w.published[topic]
	for _, l := range n.links {
		for _, s := range l.subs {
			if s.live && slices.Contains(s.topics, topic) {
				from = min(from, s.from[topic])
			}
		}
	}
	return from
}

// isFence reports whether e is the answer to a PING.
func (e *entry) isFence() bool { return e.end != "" || e.over > 0 }

// isMessage reports whether e is a message: only messages are dropped.
func (e *entry) isMessage() bool { return e.sub != nil }

// fence puts e behind all that NATS has sent so far, or at the end of the connection.
func (l *link) fence(e entry) {
	if l.connected {
		l.wire = append(l.wire, e)
	} else {
		l.fences = append(l.fences, e)
	}
}

// end ends a subscription, unless the hub wants it again.
func (l *link) end(name string) {
	e := l.node.hub.Ended(name, l.same())
	if e.Again {
		l.node.w.met[metAgain]++
		l.fence(entry{end: name})
	}
	if l.handOver(e.Handover, name); e.Ended {
		l.subs = slices.DeleteFunc(l.subs, func(s *subscription) bool { return s.subject == name })
	}
}

// mine reports whether a subscription is of this link. same is mine if there are other links.
func (l *link) mine(source string) bool { return l.node.linkOf(source) == l }

func (l *link) same() func(source string) bool {
	if len(l.node.links) == 1 {
		return nil
	}
	return l.mine
}

// handOver puts the fences of a handover on the other links.
func (l *link) handOver(handover uint64, name string) {
	if handover == 0 {
		return
	}
	l.node.w.met[metHandover]++
	for _, other := range l.node.links {
		if other != l {
			other.fence(entry{over: handover, from: name})
		}
	}
}

// publish puts a message on the wire, once for each subscription.
func (l *link) publish(topic int, index uint64) {
	for _, s := range l.subs {
		if s.live && slices.Contains(s.topics, topic) {
			l.wire = append(l.wire, entry{sub: s, topic: topic, index: index})
		}
	}
}

// arrive moves n messages from the wire into the channel, or as many as have room. The others are lost there.
func (l *link) arrive(n int) {
	if l.frozen {
		return
	}
	n = min(n, len(l.wire))
	for _, e := range l.wire[:n] {
		if len(l.channel) < l.node.w.setup.Pending || !e.isMessage() {
			l.channel = append(l.channel, e)
			continue
		}
		l.node.w.met[metDropped]++
		if last := &l.channel[len(l.channel)-1]; last.lost != nil {
			if !slices.Contains(last.lost, e.sub.subject) {
				last.lost = append(last.lost, e.sub.subject)
			}
		} else {
			l.channel = append(l.channel, entry{lost: []string{e.sub.subject}})
		}
	}
	l.wire = append(l.wire[:0], l.wire[n:]...)
}

// receive hands n entries of the channel to the hub.
func (l *link) receive(n int) {
	hub := l.node.hub
	n = min(n, len(l.channel))
	list := slices.Clone(l.channel[:n])
	l.channel = append(l.channel[:0], l.channel[n:]...)
	var digits [20]byte
	for _, e := range list {
		if n := l.node; n.w.log != nil {
			n.w.note("node %d link %d receives %s", n.id, slices.Index(n.links, l), e.String())
		}
		switch {
		case e.lost != nil:
			l.node.disturb()
			hub.Lose("the server was too slow", true, func(source string) bool { return slices.Contains(e.lost, source) })
		case e.denied != "":
			l.node.disturb()
			l.handOver(hub.Refuse(e.denied, "permission denied", l.same()), e.denied)
			l.refused = append(l.refused, e.denied)
		case e.granted != "":
			l.node.disturb()
			hub.Grant(e.granted)
			l.refused = slices.DeleteFunc(l.refused, func(s string) bool { return s == e.granted })
		case e.up:
			l.node.disturb()
			for _, source := range l.refused { // a refusal comes again if it still holds
				hub.Grant(source)
			}
			l.refused = nil
			hub.Lose("upstream", true, l.mine)
			l.node.away()
		case e.end != "":
			l.node.disturb()
			l.end(e.end)
		case e.over > 0:
			l.node.disturb()
			hub.HandedOver(e.over, l.mine)
			for _, t := range topicsUnderSubject(e.from) {
				l.node.handed[t] = l.node.w.published[t]
			}
		case !slices.Contains(l.subs, e.sub): // it has ended
		default:
			if at := &l.node.brought[e.topic]; at.by == nil || at.index <= e.index {
				*at = brought{l, e.index}
			} else if at.by != l {
				l.node.w.met[metReordered]++
			}
			hub.Deliver(universe[e.topic].subject, strconv.AppendUint(digits[:0], e.index, 10), e.sub.subject)
		}
	}
}

// cut ends the connection. n messages on the wire still come, the others are lost.
func (l *link) cut(n int) {
	if !l.connected {
		return
	}
	l.node.w.met[metDisconnect]++
	if l.frozen {
		l.frozen, n = false, 0
		l.node.w.met[metFrozenCut]++
	}
	n = min(n, len(l.wire))
	l.arrive(n)
	for _, e := range l.wire {
		if e.isFence() {
			l.fences = append(l.fences, e)
		}
	}
	l.wire = nil
	l.connected = false
	for _, s := range l.subs {
		s.live = false
	}
	l.node.away()
}

// up connects again.
func (l *link) up() {
	if l.connected {
		return
	}
	l.connected = true
	l.channel = append(append(l.channel, l.fences...), entry{up: true})
	l.fences = nil
	for _, s := range l.subs {
		l.register(s)
	}
}

// since returns the number of the message of a topic behind which a node has all subscriptions to it. An ack does not wait for
// NATS.
func (n *node) since(topic int) uint64 {
	if s := universe[topic].stream; s >= 0 {
		return n.readers[s].from[topic]
	}
	return n.known[topic]
}

// linkOf returns the link of a subject.
func (n *node) linkOf(name string) *link {
	sum := 0
	for i := range len(name) {
		sum = sum*31 + int(name[i])
	}
	return n.links[sum%len(n.links)]
}
