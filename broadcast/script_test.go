package broadcast

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
	"tickcast/wsproto"
)

// A script holds the operations on two shards, one a line:
//
//	J a           client a joins
//	C a           it leaves
//	S a px.*      it subscribes
//	M a px.A,q    it subscribes to several at once, a share of the command for each
//	A a px.A      it subscribes with the cursor of what it was told last
//	U a px.*      it unsubscribes
//	F a           its socket is full: the next write is not taken whole
//	D a           its socket has drained
//	B a           its connection breaks at the next write
//	P px.A 3      three messages are published
//	R 0 5         the loop of shard 0 drains, if that is due, for 5 steps: the next operation comes in the middle
//	N             upstream goes away, or comes back
//	E             the linger of all interests that no client wants ends
//
// Clients a, b and c are of shard 0, d and e of shard 1. An impossible operation does nothing.
type script struct {
	m     *model
	t     testing.TB
	hub   *Shards
	pipes []*pipe
	done  []string
}

// A pipe is the outlet of a shard, and its loop's queue.
type pipe struct {
	s      *script
	shard  *Shard
	bySlot []*modelClient
	due    int // drains queued at the loop
}

// mostHeld is the scripted clients' limit of subscriptions.
const mostHeld = 5

// scriptLinger is the linger of the scripts' interests, by the fake clock.
const scriptLinger = time.Millisecond

func newScript(t testing.TB, mailbox int) *script {
	s := &script{t: t, hub: New(Config{
		Config:    topics.Config{Shards: 2, MailboxMessages: mailbox, Linger: scriptLinger},
		Subscribe: []string{">"}, MaxTopicsPerConnection: mostHeld, NewTopicsPerSecond: 1 << 30, CommandSteps: 1,
	})}
	s.m = &model{
		t: t, newest: make(map[string]uint64), wanted: make(map[string]bool), sequence: make(map[string]uint64), latest: make(map[string]uint64),
		trace: func() string { return strings.Join(s.done, "\n") }, lossy: mailbox > 0,
	}
	for i := range 2 {
		p := &pipe{s: s, shard: s.hub.Shard(i)}
		s.pipes = append(s.pipes, p)
		p.shard.Attach(p, func() {
			if p.due++; p.due > 1 {
				s.m.fatalf("shard %d was woken %d times for one drain", i, p.due)
			}
		})
	}
	for i := range 5 {
		s.m.clients = append(s.m.clients, &modelClient{
			name: string(rune('a' + i)), shard: i / 3,
			last: make(map[string]told), must: make(map[uint64]string), snaps: make(map[string]uint64),
		})
	}
	return s
}

func (p *pipe) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	c := p.bySlot[slot]
	if c == nil || len(frames) == 0 {
		p.s.m.fatalf("%d bytes were written to slot %d, where nobody is", len(frames), slot)
	}
	if c.breaks {
		p.s.leave(c)
		return 0, false
	}
	for _, f := range wiretest.SplitFrames(frames) {
		p.s.m.told(c, f)
		taken += len(f)
		if c.blocked = c.blocked || c.full; c.blocked {
			return taken, false
		}
	}
	return taken, true
}

func (p *pipe) Close(slot uint32, code wsproto.StatusCode, reason string) {
	p.s.m.fatalf("%s was closed with %d %s", p.bySlot[slot].name, code, reason)
}

// drain is the turn of the loop.
func (p *pipe) drain(steps uint32, budget time.Duration) {
	if p.due == 0 {
		return
	}
	p.due--
	p.shard.fanout.steps = lookAtClock - steps // the clock is looked at after so many
	if p.shard.Drain(budget) {
		p.due++
	}
}

// waiting returns how many messages are on their way to the clients of p.
func (p *pipe) waiting() int {
	n := p.shard.inbox.len() + p.shard.mailbox.Len()
	if p.shard.fanout.underWay() {
		n++
	}
	return n + len(p.shard.batch.bundles)
}

func (p *pipe) idle() bool { return p.waiting() == 0 }

func (s *script) join(c *modelClient) {
	p := s.pipes[c.shard]
	slot := slices.Index(p.bySlot, nil)
	if slot < 0 {
		slot = len(p.bySlot)
		p.bySlot = append(p.bySlot, nil)
	}
	p.bySlot[slot] = c
	c.slot, c.joined, c.stale = uint32(slot), true, false
	for _, f := range p.shard.Join(c.slot, wire.CodecJSON, 0) {
		s.m.told(c, f)
	}
}

func (s *script) leave(c *modelClient) {
	s.m.left(c)
	p := s.pipes[c.shard]
	p.bySlot[c.slot] = nil
	p.shard.Leave(c.slot)
}

// subscribe carries out S and A.
func (s *script) subscribe(c *modelClient, name string, resume bool) {
	p := s.pipes[c.shard]
	last := c.last[name]
	resume = resume && last.S > 0
	if cmd := (&subCommand{c: &wire.Command{Topics: []string{name}}}); !resume && p.shard.isLong(cmd) { // it may begin later
		s.subscribeMany(c, []string{name})
		return
	}
	q := &question{
		name: name, last: last, held: slices.Contains(c.held, name), resume: resume,
		open: !c.blocked && !c.full && !c.breaks, idle: p.idle(),
	}
	q.refused = !q.held && len(c.held) == mostHeld
	command := fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q]}`, name)
	if q.resume {
		command = fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q],"after":"%s:%d"}`, name, epochOf(s.hub), last.S)
	}
	if !q.refused {
		q.due = s.m.subscribed(c, name)
	}
	clear(c.snaps)
	c.spare += uint64(p.waiting()) // it may see these, older as they are than its subscription
	if !q.open && !c.breaks {
		c.spare += uint64(len(q.due) + 1) // newer messages may replace them before they are sent
	}
	c.acked, c.question = "", q
	p.shard.Apply(c.slot, []byte(command))
	if q.waits = c.acked == ""; !q.waits {
		s.judge(c)
	}
}

// subscribeMany carries out M.
func (s *script) subscribeMany(c *modelClient, names []string) {
	q := &question{many: names, published: s.m.published, spare: uint64(s.pipes[c.shard].waiting() + len(names) + 1)}
	for _, name := range names {
		switch {
		case slices.Contains(c.held, name) || slices.Contains(q.fresh, name):
		case len(c.held)+len(q.fresh) == mostHeld:
			q.refusals++
		default:
			q.fresh = append(q.fresh, name)
		}
	}
	c.acked, c.question = "", q
	s.pipes[c.shard].shard.Apply(c.slot, fmt.Appendf(nil, `{"op":"sub","id":1,"topics":["%s"]}`, strings.Join(names, `","`)))
}

// noteRaised notes the interests that a command for several topics has raised so far.
func (s *script) noteRaised(c *modelClient) {
	for _, name := range c.question.fresh {
		if s.pipes[c.shard].shard.filters.find(filterName{name: name}) != nil {
			s.m.wanted[name] = true
		}
	}
}

// A question is a subscription that may wait for its answer.
type question struct {
	name                              string
	last                              told
	held, refused, resume, open, idle bool
	waits                             bool
	due                               map[string]uint64

	many, fresh      []string // with several names: all, and those that the client does not hold yet
	refusals         int
	published, spare uint64 // at the time of the command: payloads so far; messages that it may see, older as they are
}

// judge judges the answer to a subscription, if it is there.
func (s *script) judge(c *modelClient) {
	q := c.question
	if !c.joined || c.acked == "" { // it broke, or has to wait
		return
	}
	c.question = nil
	if q.many != nil {
		if strings.Count(c.acked, `"code":106`) != q.refusals || strings.Count(c.acked, `"mode"`) != len(q.many)-q.refusals {
			s.m.fatalf("%s holds %d, asked for %v and was answered %s", c.name, len(c.held), q.many, c.acked)
		}
		clear(c.snaps)
		return
	}
	q.open = q.open && !c.blocked && !c.full && !c.breaks
	q.idle = q.idle && !q.waits
	recovered := strings.Contains(c.acked, `"recovered":true`)
	switch {
	case q.refused != strings.Contains(c.acked, `"code":106`) || q.refused == strings.Contains(c.acked, `"mode"`):
		s.m.fatalf("%s holds %d and was answered %s", c.name, len(c.held), c.acked)
	case q.resume && !q.refused && !recovered && !strings.Contains(c.acked, `"recovered":false`):
		s.m.fatalf("%s came with a cursor and was answered %s", c.name, c.acked)
	case recovered && q.idle && string(q.last.D) != strconv.FormatUint(s.m.newest[q.name], 10):
		s.m.fatalf("%s knows %s, the newest is %d, and it was answered %s", c.name, q.last.Short(), s.m.newest[q.name], c.acked)
	case (q.refused || q.held && !q.resume || !q.open && !q.waits) && len(c.snaps) > 0:
		s.m.fatalf("%s got snapshots %v", c.name, c.snaps)
	case q.open && q.resume && (recovered || q.held) && q.idle && (len(c.snaps) != 1 || c.snaps[q.name] != s.m.newest[q.name]):
		s.m.fatalf("%s resumed %s, and got snapshots %v, want %d", c.name, q.name, c.snaps, s.m.newest[q.name])
	case q.open && !recovered && !q.held && q.idle && fmt.Sprint(c.snaps) != fmt.Sprint(q.due) && len(c.snaps)+len(q.due) > 0:
		s.m.fatalf("%s got snapshots %v, want %v", c.name, c.snaps, q.due)
	}
	clear(c.snaps)
}

func (s *script) unsubscribe(c *modelClient, name string) {
	s.pipes[c.shard].shard.flush(c.slot) // gathered messages go before the answer
	if !c.joined {
		return
	}
	held := slices.Contains(c.held, name)
	s.m.unsubscribed(c, name)
	c.acked = ""
	s.pipes[c.shard].shard.Apply(c.slot, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, name))
	if c.joined && held == strings.Contains(c.acked, `"code":102`) {
		s.m.fatalf("%s unsubscribed from %s (held: %v) and was answered %s", c.name, name, held, c.acked)
	}
}

// expire ends the linger of all interests at once.
func (s *script) expire() {
	time.Sleep(2 * scriptLinger)
	synctest.Wait()
	for name := range s.m.wanted {
		if !slices.ContainsFunc(s.m.clients, func(c *modelClient) bool { return c.joined && slices.Contains(c.held, name) }) {
			s.m.ended(name)
		}
	}
}
