package sim

import (
	"slices"
	"time"
)

// quiet runs all parts until nothing happens any more for some time. With heal, slow clients read too. Then the promises about
// the absence of messages are checked.
func (w *World) quiet(span time.Duration, heal bool) {
	end := w.clock.now + int64(span)
	for rounds := 0; w.violation == ""; rounds++ {
		if rounds > 100_000 {
			w.violate("it never comes to rest")
			return
		}
		if w.turn(heal) {
			continue
		}
		if w.clock.now >= end {
			break
		}
		w.clock.advance(time.Duration(max(min(w.nextTime(), end)-w.clock.now, 1)))
		for _, n := range w.nodes {
			n.step()
		}
	}
	for _, c := range w.clients {
		if c.connected && !c.full && len(c.unread) == 0 && w.violation == "" {
			c.checkQuiet(heal)
		}
	}
}

// turn lets every part do all that it can, and reports whether there was something to do.
func (w *World) turn(heal bool) (busy bool) {
	for _, n := range w.nodes {
		for _, l := range n.links {
			busy = busy || len(l.channel) > 0 || len(l.wire) > 0 && !l.frozen
			for len(l.wire) > 0 && !l.frozen {
				l.arrive(w.setup.Pending)
				l.receive(len(l.channel))
			}
			l.receive(len(l.channel))
		}
		for _, r := range n.readers {
			for n := 0; r.follow(1000) || r.ask(0) || r.answer(false); n++ {
				if busy = true; n > 10_000 {
					w.violate("a stream is asked without end")
					return false
				}
			}
		}
		for n.hub.Kicked() {
			n.step()
			busy = true
		}
		for _, l := range n.loops {
			busy = l.drain(0) || busy
		}
	}
	for _, c := range w.clients {
		if heal && c.connected {
			busy = busy || len(c.unread) > 0
			c.room = 0
			c.drain(len(c.unread))
		}
	}
	return busy
}

// nextTime returns when something is due.
func (w *World) nextTime() int64 {
	next := w.clock.now + int64(wholeDay)
	for _, a := range w.clock.alarms {
		if a.at != 0 {
			next = min(next, a.at)
		}
	}
	for _, n := range w.nodes {
		if next = min(next, n.next); n.next <= w.clock.now {
			next = w.clock.now + int64(time.Millisecond)
		}
		for _, r := range n.readers {
			if r.reading != 0 && !r.open {
				next = min(next, max(r.retryAt, w.clock.now+1))
			}
			for _, a := range r.asked {
				next = min(next, a.at+patience+1)
			}
		}
	}
	return next
}

// checkQuiet checks a client that has read all, when nothing moves any more: it has the newest messages, or knows that it may
// not have them.
func (c *client) checkQuiet(healed bool) {
	n := c.node
	for _, q := range c.commands {
		if healed || c.w.clock.now-q.at > int64(mostWait) {
			c.violates("P8: command %d is never answered", q.id)
		}
	}
	if slices.ContainsFunc(n.links, func(l *link) bool { return !l.connected }) != c.stale {
		c.violates("P9: told stale: %v", c.stale)
	}
	if slices.ContainsFunc(n.links, func(l *link) bool { return l.frozen }) || c.stale {
		return
	}
	for i := range c.views {
		if c.views[i].covered > 0 {
			c.checkTopic(i, healed)
		}
	}
}

func (c *client) checkTopic(i int, healed bool) {
	t, info, n := &c.views[i], &universe[i], c.node
	published := c.w.published[i]
	switch {
	case info.stream >= 0 && (!n.readers[info.stream].open || !c.w.streams[info.stream].exists):
		if !t.stale && t.index > 0 && (t.seen || c.holdsName(i)) && !c.w.streams[info.stream].exists {
			c.violates("P9: %s is not stale, and its stream is not there", info.name)
		}
		return
	case info.stream < 0 && n.denied >= 0:
		return
	case info.class == classSilent && healed && !t.stale && t.index > 0:
		c.violates("P9: %s is silent and not stale", info.name)
	case info.class != classSilent && healed && t.stale && n.handed[i] < published:
		c.violates("P9: %s has its newest message and is stale", info.name)
	}
	switch {
	case t.index == published || t.stale || t.gap || t.open:
	case t.index == 0 && !n.hasHeard(i): // nobody tells this node of it
	case t.index == 0 && info.stream < 0 && (published <= max(t.bound, n.since(i)) || !c.holdsName(i)):
	case t.index == 0 && info.stream < 0 && !info.lossless && published <= t.named && n.brought[i].index < published: // lost before it had a name
	case t.index == 0 && t.recovered && published <= t.bound: // its snapshot was before the cursor, and unread
	case t.index == 0 && info.stream >= 0 && c.w.clock.now-n.readers[info.stream].vainAt < 2e9: // it is asked again
	case t.index == 0 && (published <= t.bound || !c.holdsName(i)) && !c.w.streams[max(info.stream, 0)].holds(i, published):
	case info.stream >= 0 && !info.lossless && !c.w.streams[info.stream].holds(i, published):
	case info.stream >= 0 && !c.holdsName(i) && !n.readers[info.stream].heard[i] && !c.w.streams[info.stream].holds(i, published): // only other nodes know of it
	case info.lossless:
		c.violates("P1: loss without a gap: %s ends with %d of %d", info.name, t.index, published)
	default:
		c.violates("P1: %s is called fresh with %d of %d", info.name, t.index, published)
	}
}

// hasHeard reports whether a message of a topic has come to n.
func (n *node) hasHeard(topic int) bool {
	if s := universe[topic].stream; s >= 0 {
		return n.readers[s].heard[topic]
	}
	return n.brought[topic].by != nil
}

// holdsName reports whether c holds a topic by name. Under a pattern nobody knows of a topic before its first message.
func (c *client) holdsName(topic int) bool {
	return slices.ContainsFunc(c.held, func(h holding) bool { return h.name == topic })
}
