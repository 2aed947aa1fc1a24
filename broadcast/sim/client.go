package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// A client is a user of the service, over all its connections. It is at most on one at a time.
type client struct {
	w       *World
	id      int
	memory  [mostTopics]position // by topic: as of its last message
	left    []holding            // its subscriptions when the connection ended
	leftAt  int64                // when that was
	gaveUp  bool                 // it had sent an unsub then, whose answer it did not read
	closing wire.Cursor          // that it was closed with
	hears   func(*told)          // for tests; may be nil

	// Of its connection.
	node      *node
	loop      *loop
	slot      uint32
	connected bool
	breaks    bool // the next write fails
	room      int  // bytes that the socket takes; 0 = it is read at once
	unread    []told
	bytes     int  // of unread
	full      bool // a write was not taken whole: the shard waits for Writable
	stale     bool
	held      []holding
	views     [mostTopics]view
	orders    [16]order // by group
	commands  []*command
	nextID    int
}

// A holding is a subscription.
type holding struct{ name, group int }

// A command waits for its answer.
type command struct {
	id      int
	names   []int // nil = unsub
	group   int
	from    int // the group of its cursor
	memory  [mostTopics]position
	each    map[int]wire.Cursor // by name; or
	after   wire.Cursor         // of all names, or of the one that is looked at
	wild    bool                // the cursor is nobody's
	back    bool                // the client comes back to its node within the linger
	shorter bool                // unsub came before the answer
	at      int64
}

func (c *client) violates(format string, args ...any) {
	c.w.violate(fmt.Sprintf("client %d: ", c.id)+format, args...)
}

// told takes a message that the server has written. A slow client reads it later.
func (c *client) told(m told) {
	if m.answer != nil {
		m.answer.published, m.answer.calm, m.answer.at = c.w.published, c.node.calm, c.w.clock.now
		for t, info := range universe {
			if info.stream >= 0 {
				m.answer.removed[t] = c.w.streams[info.stream].removed[t]
			}
		}
	}
	if c.room == 0 && len(c.unread) == 0 {
		c.read(&m)
		return
	}
	c.unread = append(c.unread, m)
	c.bytes += m.size
}

// read is the client's own look at a message.
func (c *client) read(m *told) {
	if c.w.log != nil {
		c.w.note("client %d: %v", c.id, m)
	}
	if c.hears != nil {
		c.hears(m)
	}
	c.w.trace(uint64(c.id), uint64(len(m.op)), uint64(m.topic), m.seq, m.prev, m.index)
	switch {
	case m.op == "":
		c.data(m)
	case m.answer != nil:
		c.answered(m.answer)
	case m.op == "gap" || m.op == "stale" || m.op == "fresh":
		c.state(m)
	}
}

// drain reads n messages, and tells the shard when the socket has room again.
func (c *client) drain(n int) {
	for ; n > 0 && len(c.unread) > 0; n-- {
		m := c.unread[0]
		c.unread = c.unread[1:]
		c.bytes -= m.size
		c.read(&m)
	}
	if c.full && c.bytes == 0 {
		c.full = false
		if c.loop.shard.Writable(c.slot); c.connected && c.full && len(c.unread) == 0 {
			c.violates("full without a byte")
		}
	}
}

// send hands a command to the shard.
func (c *client) send(q *command, text string) {
	q.at = c.w.clock.now
	c.commands = append(c.commands, q)
	if c.w.log != nil {
		c.w.note("client %d sends %s", c.id, text)
	}
	c.loop.shard.Apply(c.slot, []byte(text))
}

// subscribe sends sub for names. With a cursor q has it.
func (c *client) subscribe(q *command, list []int, rate string) {
	c.nextID++
	q.id, q.names, q.group = c.nextID, list, c.nextID%len(c.orders)
	c.orders[q.group] = order{}
	b := []byte(`{"op":"sub","id":`)
	b = append(strconv.AppendInt(b, int64(q.id), 10), `,"topics":[`...)
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), names[n].name...), '"')
	}
	b = append(b, ']')
	if rate != "" {
		b = append(append(append(b, `,"rate":"`...), rate...), '"')
	}
	switch {
	case len(q.each) > 0:
		sep := `,"after":{"`
		for _, n := range list {
			if cursor, ok := q.each[n]; ok {
				b = append(append(append(b, sep...), names[n].name...), `":"`...)
				b = append(append(b, cursor.String()...), '"')
				sep = `,"`
			}
		}
		b = append(b, '}')
	case q.after.Epoch != "":
		b = append(append(append(b, `,"after":"`...), q.after.String()...), '"')
	}
	c.send(q, string(append(b, '}')))
}

func (c *client) unsubscribe(name int) {
	for _, q := range c.commands {
		q.shorter = true
	}
	c.nextID++
	c.send(&command{id: c.nextID}, fmt.Sprintf(`{"op":"unsub","id":%d,"topics":[%q]}`, c.nextID, names[name].name))
}

// answered takes the answer to a command.
func (c *client) answered(a *answer) {
	i := slices.IndexFunc(c.commands, func(q *command) bool { return q.id == a.ID })
	if i < 0 {
		c.violates("P8: an answer to no command: %+v", a)
		return
	}
	q := c.commands[i]
	c.commands = slices.Delete(c.commands, i, i+1)
	if wait := a.at - q.at; wait > int64(mostWait) {
		c.violates("P8: command %d was answered after %d ms", q.id, wait/1e6)
	}
	if q.names == nil {
		for _, t := range a.Topics {
			c.drop(nameOf(t.T))
		}
		return
	}
	if len(a.Topics)+len(a.Errors) != len(q.names) && a.Code == 0 && !q.shorter {
		c.violates("P8: %d topics were answered with %d and %d errors", len(q.names), len(a.Topics), len(a.Errors))
	}
	c.w.met[metError] += len(a.Errors)
	for _, t := range a.Topics {
		c.take(q, a, nameOf(t.T), t.Cursor, t.Recovered)
	}
}

// take notes one topic of an ack.
func (c *client) take(q *command, a *answer, name int, told string, recovered *bool) {
	cursor, _ := wire.ParseCursor(told)
	if of := names[name].of; of >= classStreamAll {
		if s := c.w.streams[of-classStreamAll]; cursor.Epoch == s.epoch() && cursor.Seq > s.last {
			c.violates("P5: %s has cursor %s, and its stream ends with %d", names[name].name, told, s.last)
		}
	}
	if q.each != nil {
		q.after = q.each[name]
	}
	asked := q.after.Epoch != ""
	if asked != (recovered != nil) {
		c.violates("P5: a cursor was answered without recovered, or none with it")
	}
	yes := asked && *recovered
	switch {
	case yes:
		c.w.met[metRecovered]++
	case asked:
		c.w.met[metUnrecovered]++
		c.checkRefusal(q, a, name)
	}
	held := slices.ContainsFunc(c.held, func(h holding) bool { return h.name == name })
	for _, topic := range names[name].matches {
		fresh := c.views[topic].covered == 0
		if !held {
			c.views[topic].covered++
		}
		if universe[topic].stream >= 0 && names[name].of < 0 { // nothing is known of its sequences
			cursor = wire.Cursor{}
		}
		c.begin(topic, q, cursor, yes, fresh, a.published[topic])
		if v := &c.views[topic]; !fresh && !held && name == topic && v.index == 0 {
			v.named = a.published[topic]
		}
		if t := &c.views[topic]; yes && t.index == 0 && t.node != c.node && subject.IsPattern(names[name].name) { // nobody can name such a topic
			t.bound = max(t.bound, a.removed[topic])
		}
		c.views[topic].node = c.node
		c.memory[topic].node = c.node
	}
	if held {
		c.held = slices.DeleteFunc(c.held, func(h holding) bool { return h.name == name })
	}
	c.held = append(c.held, holding{name, q.group})
}

// drop notes that a subscription has ended.
func (c *client) drop(name int) {
	i := slices.IndexFunc(c.held, func(h holding) bool { return h.name == name })
	if i < 0 {
		return
	}
	c.held = slices.Delete(c.held, i, i+1)
	for _, topic := range names[name].matches {
		if c.views[topic].covered--; c.views[topic].covered == 0 {
			c.views[topic] = view{}
		}
	}
}

func nameOf(s string) int {
	return slices.IndexFunc(names, func(n nameInfo) bool { return n.name == s })
}

// join opens a connection.
func (c *client) join(n *node, l *loop) {
	c.node, c.loop, c.connected, c.breaks, c.full, c.stale, c.room = n, l, true, false, false, false, 0
	c.held, c.unread, c.bytes, c.commands = nil, nil, 0, nil
	c.views, c.orders = [mostTopics]view{}, [16]order{}
	c.slot = l.place(c)
	for _, f := range l.shard.Join(c.slot, wire.CodecJSON, 0) {
		m, err := parseTold(f)
		if err != nil {
			c.violates("%v", err)
		}
		c.told(m)
	}
}

// ended notes that the connection is over. The messages that were not read are lost.
func (c *client) ended() {
	c.left, c.leftAt, c.connected = slices.Clone(c.held), c.w.clock.now, false
	c.gaveUp = slices.ContainsFunc(c.commands, func(q *command) bool { return q.names == nil })
	c.held, c.unread, c.bytes, c.commands = nil, nil, 0, nil
	c.loop.bySlot[c.slot] = nil
}

// leave ends the connection from the client's side.
func (c *client) leave() {
	l, slot := c.loop, c.slot
	c.ended()
	l.shard.Leave(slot)
}

// closed is the end from the server's side. Some clients read all before it.
func (c *client) closed(code wsproto.StatusCode, reason string, reads bool) {
	if code != wire.StatusSlowConsumer {
		c.violates("closed with %d %s", code, reason)
	}
	c.w.met[metSlow]++
	if reads {
		list := c.unread
		c.unread = nil
		for i := range list {
			c.read(&list[i])
		}
		if _, told, ok := strings.Cut(reason, "resume after "); ok {
			if c.closing, _ = wire.ParseCursor(told); c.closing.Epoch == "" || !c.oneGroup() {
				c.closing = wire.Cursor{}
			}
		}
	}
	c.leave()
}

func (c *client) oneGroup() bool {
	for _, h := range c.held {
		if h.group != c.held[0].group {
			return false
		}
	}
	return true
}
