package sim

import "tickcast/broadcast/wire"

// A position is the place of a client in a topic. The oracle knows it by the numbers of messages along the topic, which the
// server does not know: so a loss shows whatever the server says of sequences.
type position struct {
	epoch string // of cursors, as an ack told last; "" = not told
	index uint64 // of the last message; 0 = none
	seq   uint64 // of the last message, or of the cursor of the ack
	bound uint64 // all messages behind this one are promised
	named uint64 // messages at the ack that named a topic which only a pattern had brought
	gap   bool   // a gap was told behind the last message
	open  bool   // nothing is promised of the next message
	snap  bool   // the last message was a snapshot
	group int    // the command that brought the topic
	node  *node  // that told it
	after uint64 // nothing at or before this sequence may come: the cursor of a recovered topic; 0 = none

	recovered bool // after is such a cursor
	refused   bool // the command's cursor was not recovered
	live      bool // a message came since the ack, that is no snapshot
}

// A view is a topic as one connection sees it.
type view struct {
	position
	covered int  // subscriptions that bring the topic
	seen    bool // a message came on this connection
	stale   bool
}

// An order is the last sequence of the lossless topics of one command, by epoch: of core NATS, and of each stream.
type order [1 + streams]uint64

// data checks a data message against the promises of order and loss.
func (c *client) data(m *told) {
	t, info := &c.views[m.topic], &universe[m.topic]
	if t.covered == 0 {
		c.violates("message of a topic that it does not hold: %v", m)
	}
	if t.index > 0 {
		c.follows(t, info, m)
	} else if bound := max(t.bound, c.node.since(m.topic)); info.lossless && !t.open && !t.gap && m.index > bound+1 {
		c.violates("P2: loss without a gap: %s begins with %d, all after %d were promised", info.name, m.index, bound)
	}
	if m.seq <= t.after && !m.snap && !t.gap {
		c.violates("P6: %s has sequence %d at or before the cursor %d", info.name, m.seq, t.after)
	}
	if info.lossless && !m.snap {
		last := &c.orders[t.group%len(c.orders)][info.stream+1]
		if m.seq <= *last {
			c.violates("P4: order over topics: %s has %d after %d", info.name, m.seq, *last)
		}
		*last = m.seq
	}
	t.seen, t.snap, t.live = true, m.snap, t.live || !m.snap
	t.index, t.seq, t.gap, t.open = m.index, m.seq, t.gap && m.snap && m.index == t.index, false
	c.memory[m.topic] = t.position
}

// follows checks a message behind the last one.
func (c *client) follows(t *view, info *topicInfo, m *told) {
	switch {
	case m.index < t.index && !info.lossless:
		c.violates("P7: %s goes backwards: %d after %d", info.name, m.index, t.index)
	case m.index < t.index:
		c.violates("P4: %s goes backwards: %d after %d", info.name, m.index, t.index)
	case m.index == t.index && !m.snap:
		c.violates("P6: doubled: %s %d", info.name, m.index)
	case !t.anew(info) && (m.seq < t.seq || m.seq == t.seq && m.index != t.index):
		c.violates("P4: sequence: %s has %d after %d", info.name, m.seq, t.seq)
	}
	if !info.lossless || t.open {
		return
	}
	switch {
	case !t.gap && m.index > t.index+1:
		c.violates("P2: loss without a gap: %s %d after %d", info.name, m.index, t.index)
	case m.snap || m.prev == 0:
	case t.anew(info):
	case m.prev == t.seq && m.index != t.index+1:
		c.violates("P3: p chain across a loss: %s %d after %d", info.name, m.index, t.index)
	case m.prev < t.seq || m.prev > max(t.seq, t.after) && !t.gap: // a cursor that was recovered says more than the last message
		c.violates("P3: p chain: %s has p %d after %d", info.name, m.prev, t.seq)
	}
}

// anew reports whether sequences may begin again: the stream was made anew.
func (t *view) anew(info *topicInfo) bool { return t.gap && info.stream >= 0 }

// checkRefusal checks that a cursor of core NATS was refused for a reason: the client comes back with the place of a message that
// was published after the last fault of its node, and the history holds all messages since.
func (c *client) checkRefusal(q *command, a *answer, name int) {
	of := names[name].of
	if !q.back || q.wild || of != classAll && of != classMapped {
		return
	}
	history, known := c.w.setup.History, false
	if of == classMapped {
		history /= 2
	}
	for _, topic := range names[name].matches {
		was := &q.memory[topic]
		if was.group != q.from || was.gap || was.open || a.published[topic]-was.index > uint64(history) {
			return
		}
		known = known || was.seq == q.after.Seq && was.index > a.calm[topic] && !was.snap
	}
	if known {
		c.violates("P5: %s after %v is not recovered, and nothing is lost since", names[name].name, q.after)
	}
}

// state notes stale, fresh and gap.
func (c *client) state(m *told) {
	switch {
	case m.op == "gap":
		if t := &c.views[m.topic]; t.covered > 0 {
			t.gap, t.after = true, 0
			c.memory[m.topic].gap = true
			if s := universe[m.topic].stream; s >= 0 { // sequences may begin anew
				for g := range c.orders {
					c.orders[g][s+1] = 0
				}
			}
		}
	case m.all:
		if c.stale == (m.op == "stale") {
			c.violates("P9: told %s twice", m.op)
		}
		c.stale = m.op == "stale"
		for i := range c.views {
			if m.op == "fresh" {
				c.views[i].stale = false
			}
		}
	default:
		c.views[m.topic].stale = m.op == "stale"
	}
}

// begin notes that a command has brought a topic, which the client did not hold before or asked for from a cursor.
func (c *client) begin(topic int, q *command, cursor wire.Cursor, recovered, fresh bool, published uint64) {
	t, was := &c.views[topic], q.memory[topic]
	refused, same := q.after.Epoch != "" && !recovered, !fresh && t.group == q.group
	switch {
	case same && t.refused: // by another name, which counts
		return
	case same && t.recovered && refused:
	case !fresh && !recovered:
		return
	}
	after := q.after
	if !fresh && t.group == q.group && t.recovered { // an earlier name of the command has brought it: its lower cursor holds
		after.Seq = min(after.Seq, t.after)
	}
	t.position = position{epoch: cursor.Epoch, seq: cursor.Seq, bound: published, group: q.group, refused: refused}
	switch at := q.after; {
	case !recovered:
	case q.wild || was.epoch != at.Epoch || was.seq > at.Seq || was.group != q.from && at.Seq != was.seq:
		t.open, t.after, t.recovered = true, after.Seq, true
	default:
		was.after, was.recovered, was.group = after.Seq, true, q.group
		was.refused, was.live = false, false
		was.gap = was.gap && was.seq != at.Seq // the client was told of a hole before its cursor
		was.epoch = after.Epoch
		t.position = was
	}
	c.memory[topic] = t.position
}
