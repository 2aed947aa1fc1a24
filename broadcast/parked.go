package broadcast

import (
	"encoding/json"
	"slices"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A subCommand is a command sub on its way.
type subCommand struct {
	c    *wire.Command
	rate time.Duration
	from wire.Cursors            // of all its topics, by epoch; nil = none, or of each its own
	hub  *topics.Hub             // knows the epochs
	each map[string]*wire.Cursor // by topic or pattern; nil = none

	placed bool // the client is told where it stands in all topics

	asked map[string]topics.Question // by topic: the questions that its stream was asked
	until int64                      // when it waits no longer for streams, by the hub's clock; 0 = it did not wait yet

	// By index into c.Topics, each nil until there is one. A waiting command of many topics must be small: there may be one of each
	// client.
	ahead []bool  // the cursor was beyond the place of this node when the command took its place
	fails []error // why the filter could not be made
	tiers []uint8 // of the topics that the client's present grant permits, as far as they were looked up; noTier = not yet

	ack    wire.Ack
	fresh  []*filter         // their snapshots are due
	replay []*topics.Message // missed by the client, due after the answer
	newest []*shardTopic     // recovered topics of ModeLast without a missed message: their newest is due as a snapshot
	stale  []*shardTopic     // recovered topics whose state is due
	again  []*topics.Topic   // all recovered topics
}

// newSubCommand reads the arguments of a command.
func newSubCommand(hub *topics.Hub, c *wire.Command) (*subCommand, error) {
	a := &subCommand{c: c, hub: hub}
	if c.Rate != "" {
		var err error
		if a.rate, err = time.ParseDuration(c.Rate); err != nil || a.rate < 0 {
			return nil, &wire.Error{Code: wire.CodeNoSuchTier, Reason: "no such rate tier: " + wire.Quoted(c.Rate)}
		}
	}
	if c.After.Cursor != "" {
		var err error
		if a.from, err = wire.ParseCursors(c.After.Cursor); err != nil {
			return nil, err
		}
	}
	for name, cursor := range c.After.Of {
		from, err := wire.ParseCursor(cursor)
		if err != nil {
			return nil, err
		}
		if a.each == nil {
			a.each = make(map[string]*wire.Cursor)
		}
		a.each[name] = &from
	}
	c.After = wire.After{} // the command may wait long, and has it twice else
	return a, nil
}

// resumes reports whether the command comes with a cursor.
func (a *subCommand) resumes() bool { return a.from != nil || a.each != nil }

// after returns the client's cursor in a topic or pattern; nil = none.
func (a *subCommand) after(name string) *wire.Cursor {
	if len(a.from) > 1 {
		if c := a.hub.ClassOver(name); c != nil {
			if own := a.from.In(a.hub.EpochOf(c)); own != nil {
				return own
			}
		}
	}
	if a.from != nil { // of another epoch, which is never recovered
		return &a.from[0]
	}
	return a.each[name]
}

// noticed returns the number of the last notice that the client of a poll knows by its cursors; 0 = it knows none.
func (a *subCommand) noticed() uint64 {
	if told := a.from.In("~" + a.hub.Epoch()); told != nil {
		return told.Seq >> 1
	}
	return 0
}

// noteAsked notes that a stream was asked a question about a topic or pattern.
func (a *subCommand) noteAsked(name string, q topics.Question) {
	if a.asked == nil {
		a.asked = make(map[string]topics.Question)
	}
	a.asked[name] |= q
}

// noteAhead notes that the client's cursor in topic or pattern i of the command is not recovered: messages up to it may still come.
func (a *subCommand) noteAhead(i int) {
	if a.ahead == nil {
		a.ahead = make([]bool, len(a.c.Topics))
	}
	a.ahead[i] = true
}

// refuse notes that the filter of a topic or pattern could not be made.
func (a *subCommand) refuse(i int, err error) {
	if a.fails == nil {
		a.fails = make([]error, len(a.c.Topics))
	}
	a.fails[i] = err
}

// refusal returns the error that refuse noted; nil = none.
func (a *subCommand) refusal(i int) error {
	if a.fails == nil {
		return nil
	}
	return a.fails[i]
}

// noTier says of a topic that it was not looked up whether the client may subscribe to it.
const noTier = ^uint8(0)

// notePermitted notes that the client may subscribe to a topic or pattern at the tier of the command's rate.
func (a *subCommand) notePermitted(i int, tier uint8) {
	if a.tiers == nil {
		a.tiers = slices.Repeat([]uint8{noTier}, len(a.c.Topics))
	}
	a.tiers[i] = tier
}

// permitted returns the tier that notePermitted noted, if it did.
func (a *subCommand) permitted(i int) (tier uint8, ok bool) {
	if a.tiers == nil || a.tiers[i] == noTier {
		return 0, false
	}
	return a.tiers[i], true
}

// removeTopics removes the topics that remove says from a command that waits.
func (a *subCommand) removeTopics(remove func(name string) bool) {
	kept := 0
	for i, name := range a.c.Topics {
		if remove(name) {
			continue
		}
		a.c.Topics[kept] = name
		if a.ahead != nil {
			a.ahead[kept] = a.ahead[i]
		}
		if a.fails != nil {
			a.fails[kept] = a.fails[i]
		}
		if a.tiers != nil {
			a.tiers[kept] = a.tiers[i]
		}
		kept++
	}
	clear(a.c.Topics[kept:])
	a.c.Topics = a.c.Topics[:kept]
}

// A parkedCommand is a sub that waits for a stream to answer with the past of its topics, or for its shard to come to a mark. Until
// then its client is no subscriber of them, so that the answer comes first. Or it is a pub that waits for a stream to store it.
type parkedCommand struct {
	slot   uint32
	cmd    *subCommand     // nil = a pub
	id     json.RawMessage // of a pub
	waiter *topics.Waiter  // or
	mark   *topics.Message // with the filters that are kept for it
	until  int64           // with a waiter: when the wait ends, by the hub's clock
	pinned []*filter
	done   bool
}

// key names the event that p waits for.
func (p *parkedCommand) key() any {
	if p.mark != nil {
		return p.mark
	}
	return p.waiter
}

const (
	mostParked     = 128             // commands of one client that may wait, or as many as it may have topics. Chosen by us
	parkedPatience = 5 * time.Second // until a command goes on without the answer of a stream
)

// A parkedTable holds the parked commands of a shard. Its bound is mostParked for each client.
type parkedTable struct {
	waiting map[any]*parkedCommand // by the waiter or the mark
	bySlot  map[uint32][]*parkedCommand
	order   []*parkedCommand // those with a waiter, by until; some are done
}

func (t *parkedTable) add(p *parkedCommand) {
	if t.waiting == nil {
		t.waiting, t.bySlot = make(map[any]*parkedCommand), make(map[uint32][]*parkedCommand)
	}
	t.waiting[p.key()] = p
	t.bySlot[p.slot] = append(t.bySlot[p.slot], p)
	if p.waiter != nil {
		i, _ := slices.BinarySearchFunc(t.order, p.until+1, func(q *parkedCommand, at int64) int { return int(q.until - at) })
		t.order = slices.Insert(t.order, i, p)
	}
}

// remove removes the command that waits for a waiter or a mark; nil if it has gone.
func (t *parkedTable) remove(key any) *parkedCommand {
	p := t.waiting[key]
	if p == nil {
		return nil
	}
	p.done = true
	delete(t.waiting, key)
	if left := slices.DeleteFunc(t.bySlot[p.slot], func(q *parkedCommand) bool { return q == p }); len(left) > 0 {
		t.bySlot[p.slot] = left
	} else {
		delete(t.bySlot, p.slot)
	}
	return p
}

// removeSlot removes the commands of the client in slot.
func (t *parkedTable) removeSlot(slot uint32) []*parkedCommand {
	list := slices.Clone(t.bySlot[slot])
	for _, p := range list {
		t.remove(p.key())
	}
	return list
}

// nextLate returns a command that has waited too long for a stream, or nil and when the next one has.
func (t *parkedTable) nextLate(now int64) (late *parkedCommand, next int64) {
	for len(t.order) > 0 {
		switch p := t.order[0]; {
		case p.done:
			t.order = t.order[1:]
		case p.until <= now:
			return t.remove(p.key()), 0
		default:
			return nil, p.until
		}
	}
	t.order = nil
	return nil, 0
}

// count returns the number of waiting commands of the client in slot, and of the topics that they name.
func (t *parkedTable) count(slot uint32) (commands, names int) {
	for _, p := range t.bySlot[slot] {
		if p.cmd != nil {
			names += len(p.cmd.c.Topics)
		}
	}
	return len(t.bySlot[slot]), names
}

// forgetPermits makes the waiting commands of the client in slot ask again for the topics that it may read.
func (t *parkedTable) forgetPermits(slot uint32) {
	for _, p := range t.bySlot[slot] {
		if p.cmd != nil {
			p.cmd.tiers = nil
		}
	}
}

// cancel removes names from the waiting commands of the client in slot. It returns those that were there.
func (t *parkedTable) cancel(slot uint32, names []string) (waited map[string]bool) {
	list := t.bySlot[slot]
	if len(list) == 0 {
		return nil
	}
	waited = make(map[string]bool, len(names)) // false = it was not found yet
	for _, name := range names {
		waited[name] = false
	}
	for _, p := range list {
		if p.cmd == nil {
			continue
		}
		p.cmd.removeTopics(func(name string) bool {
			_, named := waited[name]
			if named {
				waited[name] = true
			}
			return named
		})
	}
	return waited
}

// A run is a command under way that names many topics, or a pattern over many, or a backlog that is written. It is carried out in
// shares, so that the loop has time for everybody else in between. Its client hears nothing but answers until the command is carried
// out: it has a backlog, as a client with a full socket.
type run struct {
	slot   uint32
	id     json.RawMessage // of the command
	cmd    *subCommand     // nil = an unsub, or a backlog
	left   []string        // topics that are still to be subscribed to, or to get a filter
	begun  bool
	full   bool // the socket is full: Writable will be called
	waits  bool // for that call, between two pages
	writes bool // the command is carried out: the backlog is written
	page   wire.Page

	pattern *filter         // of the first of left; it is kept while it grows. May be nil
	owing   *filter         // a pattern of the client, whose topics before index owed may still be owed; may be nil
	owed    int             //
	waited  map[string]bool // with an unsub: names that waited in parked commands

	owes  bool           // with order: the backlog is to be written once the run is over; the socket has room
	order bool           // at a place in the stream of messages, see Shard.carryOutInOrder: the shares make the filters
	room  int            // for topics that the client does not hold yet; with order
	pins  []*filter      // with order
	kept  *topics.Waiter // with order and cursors: the interests that are kept until all filters are made; may be nil
}

// done returns the number of topics of a sub that are not left.
func (r *run) done() int { return len(r.cmd.c.Topics) - len(r.left) }

// A runList holds the runs of a shard, at most one of each client. The first one is carried out.
type runList struct {
	queue  []*run // but for those that wait for a socket
	bySlot map[uint32]*run
}

func (l *runList) add(r *run) {
	if l.bySlot == nil {
		l.bySlot = make(map[uint32]*run)
	}
	l.queue = append(l.queue, r)
	l.bySlot[r.slot] = r
}

// remove removes and returns the run of the client in slot; nil = there is none.
func (l *runList) remove(slot uint32) *run {
	r := l.bySlot[slot]
	if r == nil {
		return nil
	}
	delete(l.bySlot, slot)
	l.pause(r)
	if len(l.bySlot) == 0 {
		*l = runList{}
	}
	return r
}

// pause takes r out of the queue until goOn.
func (l *runList) pause(r *run) {
	if i := slices.Index(l.queue, r); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
}

// goOn puts r at the end of the queue, if it is paused.
func (l *runList) goOn(r *run) {
	if !slices.Contains(l.queue, r) {
		l.queue = append(l.queue, r)
	}
}
