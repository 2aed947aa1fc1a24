package sim

import (
	"math"
	"slices"
	"time"

	"tickcast/broadcast/wire"
)

// do carries out one operation.
func (w *World) do(o op) {
	w.clock.advance(100 * time.Microsecond)
	n := w.nodes[int(o.a)%len(w.nodes)]
	l := n.links[int(o.b)%len(n.links)]
	r := n.readers[int(o.b)%streams]
	s := w.streams[int(o.a)%streams]
	c := w.clients[int(o.a)%len(w.clients)]
	switch o.kind {
	case opPub:
		w.publish(int(o.a), int(o.b)%3+1, 0)
	case opBurst:
		w.publish(int(o.a), int(o.b)%40+10, int(o.c)%3)
	case opNet:
		l.arrive(int(o.c)%16 + 1)
	case opRecv:
		l.receive(int(o.c)%16 + 1)
	case opHub:
		n.step()
	case opLoop:
		i := int(o.b) % len(n.loops)
		l := n.loops[i]
		l.checkMailbox(i)
		l.drain(int(o.c) % 3)
	case opTime:
		d := time.Duration(o.a%60) * time.Millisecond
		w.countWaits(d)
		w.clock.advance(d)
	case opFollow:
		r.follow(int(o.c)%16 + 1)
	case opAsk:
		r.ask(max(int(o.c)%8-4, 0))
	case opAnswer:
		r.answer(o.c%8 == 0)
	case opQuiet:
		w.quiet(400*time.Millisecond, false)
	case opJoin, opLeave, opSub, opSubs, opUnsub, opResume, opAfter, opSlow, opRead, opFast, opBreak:
		w.doClient(o, c)
	default:
		w.doFault(o, n, l, s)
	}
}

// stall is the time without a step from which on a node or a consumer counts as one that stands still.
const stall = 20 * time.Millisecond

// countWaits counts the nodes that stand still for d while something waits.
func (w *World) countWaits(d time.Duration) {
	if d < stall {
		return
	}
	for _, n := range w.nodes {
		if slices.ContainsFunc(n.links, func(l *link) bool { return len(l.wire)+len(l.channel) > 0 }) {
			w.met[metStall]++
		}
		for _, r := range n.readers {
			if r.open && r.epoch == r.stream.epoch() && r.last < r.stream.last {
				w.met[metLag]++
			}
		}
	}
}

func (w *World) doFault(o op, n *node, l *link, s *stream) {
	switch o.kind {
	case opCut:
		l.cut(int(o.c) % 8)
	case opUp:
		l.up()
	case opFreeze:
		if l.connected && !l.frozen {
			l.frozen = true
			w.met[metFrozen]++
		}
	case opThaw:
		l.frozen = false
	case opDeny:
		n.deny(int(o.b)%len(universe), o.c%2 == 0)
	case opAllow:
		n.allow(o.c%2 == 0)
	case opPurge:
		if len(s.content) > 0 {
			s.remove(len(s.content))
			w.met[metPurged]++
		}
	case opAnew:
		s.anew()
		w.met[metAnew]++
	case opDelete:
		if s.exists {
			s.remove(len(s.content))
			s.exists = false
			w.met[metDeleted]++
		}
	case opLeader:
		if s.leader = !s.leader; s.leader {
			w.met[metLeader]++
		} else {
			w.met[metNoLeader]++
		}
	}
}

// deny takes the permission for a topic. With taken, the subscriptions that are there end as well.
func (n *node) deny(topic int, taken bool) {
	n.denied = topic
	for _, l := range n.links {
		for _, s := range l.subs {
			if taken && s.live && slices.Contains(s.topics, topic) {
				n.w.met[metTaken]++
				s.live, s.refused = false, true
				l.wire = append(l.wire, entry{denied: s.subject})
			}
		}
	}
}

// allow gives the permission back: NATS ends the connections, or grants the subscriptions when it is asked again.
func (n *node) allow(ends bool) {
	if n.denied < 0 {
		return
	}
	n.denied = -1
	n.w.met[metGranted]++
	for _, l := range n.links {
		if ends {
			l.cut(0)
			l.up()
			continue
		}
		for _, s := range l.subs {
			if l.connected && !s.live {
				l.grant(s)
				l.wire = append(l.wire, entry{granted: s.subject})
			}
		}
	}
}

// publish publishes count messages on topics from first on, step topics apart.
func (w *World) publish(first, count, step int) {
	for i := range count {
		topic := (first + i*step) % len(universe)
		index := w.published[topic] + 1
		if s := universe[topic].stream; s >= 0 {
			if w.streams[s].publish(topic, index) {
				w.published[topic] = index
			}
			continue
		}
		w.published[topic] = index
		for _, n := range w.nodes {
			for _, l := range n.links {
				l.publish(topic, index)
			}
		}
	}
}

func (w *World) doClient(o op, c *client) {
	at := w.nodes[int(o.b)%len(w.nodes)]
	on := at.loops[int(o.c)%len(at.loops)]
	switch {
	case o.kind == opJoin && !c.connected:
		c.join(at, on)
	case o.kind == opResume:
		if c.connected {
			c.leave()
		}
		if len(c.left) > 0 && c.node != at {
			w.met[metElsewhere]++
		}
		back := c.node == at && !c.gaveUp && w.clock.now-c.leftAt < int64(linger)
		c.join(at, on)
		c.resume(int(o.c), int(o.b), back)
	case !c.connected:
	case o.kind == opLeave:
		c.leave()
	case o.kind == opSub:
		name, rate := int(o.b)%len(names), ""
		if names[name].of == classLast {
			rate = []string{"", "", "50ms", "120ms"}[o.c%4]
		}
		c.subscribe(new(command), []int{name}, rate)
	case o.kind == opSubs:
		c.subscribe(new(command), kin(int(o.b)%len(names)), "")
	case o.kind == opUnsub && len(c.held) > 0:
		c.unsubscribe(c.held[int(o.b)%len(c.held)].name)
	case o.kind == opAfter && len(c.held) > 0 && len(c.unread) == 0:
		c.left = slices.Clone(c.held)
		c.resume(int(o.c), int(o.b), true)
	case o.kind == opSlow:
		c.room = int(o.b)%400 + 1
	case o.kind == opRead:
		c.drain(int(o.b)%16 + 1)
	case o.kind == opFast:
		c.room = 0
		c.drain(len(c.unread))
	case o.kind == opBreak:
		c.breaks = true
	}
}

// kin returns the names of one kind: lossless of core NATS, lossless of a stream, or just some.
func kin(name int) (list []int) {
	of := func(n int) int {
		if c := names[n].of; c == classAll || c == classDelayed || c == classMapped {
			return classAll
		} else {
			return c
		}
	}
	for n := range names {
		if of(n) == of(name) && (n+name)%3 != 1 {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		list = []int{name}
	}
	return list
}

// The ways of cursors.
const (
	wayOne  = iota // one cursor of all topics of a command: the highest
	wayEach        // of each topic or pattern its own
	wayWild        // a cursor that nobody told this client
	wayNone
	ways
)

// resume subscribes again to the topics of one command of before. back says that the node still has its interest in them.
func (c *client) resume(way, which int, back bool) {
	if len(c.left) == 0 {
		return
	}
	defer func() { c.closing = wire.Cursor{} }()
	q := &command{memory: c.memory, back: back, from: c.left[which%len(c.left)].group}
	var list []int
	for _, h := range c.left {
		if h.group == q.from {
			list = append(list, h.name)
		}
	}
	switch way % ways {
	case wayOne:
		if q.after, _ = c.highest(list, q.from); c.closing.Epoch == q.after.Epoch && q.after.Epoch != "" {
			q.after = c.closing
		}
	case wayEach:
		q.each = make(map[int]wire.Cursor)
		for _, n := range list {
			if cursor, ok := c.highest([]int{n}, q.from); ok {
				q.each[n] = cursor
			}
		}
		if len(q.each) == 0 {
			q.each = nil
		}
	case wayWild:
		p := c.w.clients[which%clients].memory[which%len(universe)]
		if p.epoch != "" {
			c.w.met[metWild]++
			q.wild, q.after = true, wire.Cursor{Epoch: p.epoch, Seq: p.seq + uint64(which%5)}
		}
	}
	c.subscribe(q, list, "")
}

// highest returns the highest cursor of the topics under names. For topics of ModeLast, which may be ahead of each other, it is
// the lowest. If some are recovered, it is the place of the last message, or before the first the lowest cursor: the missed messages
// are behind the ack. It reports false if they have no epoch in common.
func (c *client) highest(list []int, group int) (cursor wire.Cursor, ok bool) {
	recovered, live, lowest := false, uint64(0), uint64(math.MaxUint64)
	for _, n := range list {
		for _, t := range names[n].matches {
			p := &c.memory[t]
			switch {
			case p.group != group || p.epoch == "":
				continue
			case cursor.Epoch == "":
				cursor = wire.Cursor{Epoch: p.epoch, Seq: p.seq}
			case cursor.Epoch != p.epoch:
				return wire.Cursor{}, false
			case universe[t].lossless:
				cursor.Seq = max(cursor.Seq, p.seq)
			default:
				cursor.Seq = min(cursor.Seq, p.seq)
			}
			switch {
			case !universe[t].lossless:
			case p.live:
				live = max(live, p.seq)
			case p.recovered:
				recovered, lowest = true, min(lowest, p.after)
			default:
				lowest = min(lowest, p.seq)
			}
		}
	}
	switch {
	case recovered && live > 0:
		cursor.Seq = live
	case recovered:
		cursor.Seq = lowest
	}
	return cursor, cursor.Epoch != ""
}
