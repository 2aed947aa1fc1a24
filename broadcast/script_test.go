package broadcast

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/wsproto"
)

// A script is what happens to two shards, one operation a line:
//
//	J a           client a joins
//	C a           it leaves
//	S a px.*      it subscribes
//	A a px.A      it subscribes with the cursor of what it was told last
//	U a px.*      it unsubscribes
//	F a           its socket is full: the next write is not taken whole
//	D a           its socket has drained
//	B a           its connection breaks at the next write
//	P px.A 3      three messages are published
//	R 0 5         the loop of shard 0 drains, if that is due, for 5 steps: the next operation comes in the middle
//	N             upstream goes away, or comes back
//	E             the linger of all interests that nobody wants ends
//
// Clients a, b and c are of shard 0, d and e of shard 1. What cannot be done does nothing.
type script struct {
	m      *model
	t      testing.TB
	hub    *Hub
	pipes  []*pipe
	silent silentUpstream
	done   []string
}

// A pipe is the outlet of a shard, and its loop's queue.
type pipe struct {
	s      *script
	shard  *Shard
	bySlot []*modelClient
	due    int // drains queued at the loop
}

// silentUpstream agrees to everything.
type silentUpstream struct{}

func (silentUpstream) subscribe(*feed) error        { return nil }
func (silentUpstream) unsubscribe(*feed) error      { return nil }
func (silentUpstream) publish(string, []byte) error { return nil }

// mostHeld is the scripted clients' limit of subscriptions.
const mostHeld = 5

func newScript(t testing.TB, mailbox int) *script {
	s := &script{t: t, hub: NewHub(Config{Shards: 2, Subscribe: []string{">"}, MaxTopicsPerConnection: mostHeld, MailboxMessages: mailbox})}
	s.m = &model{
		t: t, newest: make(map[string]uint64), wanted: make(map[string]bool), sequence: make(map[string]uint64),
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
	for _, f := range splitFrames(frames) {
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

// drain is what the loop does when its turn comes.
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
	n := len(p.shard.queue) - p.shard.next + len(p.shard.mailbox.queue) + len(p.shard.mailbox.newest)
	if p.shard.fanout.m != nil {
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
	for _, f := range p.shard.Join(c.slot, CodecJSON, 0) {
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
	wasHeld, open := slices.Contains(c.held, name), !c.blocked && !c.full && !c.breaks
	refused := !wasHeld && len(c.held) == mostHeld
	command := fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q]}`, name)
	last, resume := c.last[name], resume && c.last[name].S > 0
	if resume {
		command = fmt.Sprintf(`{"op":"sub","id":1,"topics":[%q],"after":"%s:%d"}`, name, *s.hub.epoch.Load(), last.S)
	}
	var due map[string]uint64
	if !refused {
		due = s.m.subscribed(c, name)
	}
	clear(c.snaps)
	c.spare += uint64(p.waiting()) // it may see these, older as they are than its subscription
	if !open && !c.breaks {
		c.spare += uint64(len(due)) // newer messages may replace them before they are sent
	}
	c.acked = ""
	p.shard.Apply(c.slot, []byte(command))
	if !c.joined { // it broke
		return
	}
	recovered := strings.Contains(c.acked, `"recovered":true`)
	switch {
	case refused != strings.Contains(c.acked, `"code":106`) || refused == strings.Contains(c.acked, `"mode"`):
		s.m.fatalf("%s holds %d and was answered %s", c.name, len(c.held), c.acked)
	case resume && !refused && !recovered && !strings.Contains(c.acked, `"recovered":false`):
		s.m.fatalf("%s came with a cursor and was answered %s", c.name, c.acked)
	case recovered && p.idle() && string(last.D) != strconv.FormatUint(s.m.newest[name], 10):
		s.m.fatalf("%s knows %s, the newest is %d, and it was answered %s", c.name, last.short(), s.m.newest[name], c.acked)
	case (refused || wasHeld && !resume || recovered || !open) && len(c.snaps) > 0:
		s.m.fatalf("%s got snapshots %v", c.name, c.snaps)
	case open && wasHeld && resume && !recovered && p.idle() && (len(c.snaps) != 1 || c.snaps[name] != s.m.newest[name]):
		s.m.fatalf("%s resumed %s, which it held, and got snapshots %v, want %d", c.name, name, c.snaps, s.m.newest[name])
	case open && !recovered && !wasHeld && p.idle() && fmt.Sprint(c.snaps) != fmt.Sprint(due) && len(c.snaps)+len(due) > 0:
		s.m.fatalf("%s got snapshots %v, want %v", c.name, c.snaps, due)
	}
	clear(c.snaps)
}

func (s *script) unsubscribe(c *modelClient, name string) {
	s.pipes[c.shard].shard.flush(c.slot) // what has been gathered goes before the answer
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
	for name, i := range s.hub.interests {
		if i.wanted == 0 {
			s.hub.expire(lingerer{i, i.until}, s.silent)
			s.m.ended(name)
		}
	}
}

// run carries out one line.
func (s *script) run(line string) {
	s.done = append(s.done, line)
	args := strings.Fields(line)
	var c *modelClient
	if len(args) > 1 {
		if i := slices.IndexFunc(s.m.clients, func(c *modelClient) bool { return c.name == args[1] }); i >= 0 {
			c = s.m.clients[i]
		}
	}
	switch op := args[0]; {
	case op == "P":
		n, _ := strconv.Atoi(args[2])
		for range n {
			s.hub.Publish(args[1], []byte(s.m.publish(args[1])))
		}
	case op == "R":
		steps, _ := strconv.Atoi(args[2])
		p, _ := strconv.Atoi(args[1])
		s.pipes[p].drain(uint32(steps), 0)
	case op == "N":
		s.m.stale = !s.m.stale
		s.hub.setStale(s.m.stale)
	case op == "E":
		s.expire()
	case op == "J" && !c.joined:
		s.join(c)
	case !c.joined:
	case op == "C":
		s.leave(c)
	case op == "S", op == "A":
		s.subscribe(c, args[2], op == "A")
	case op == "U":
		s.unsubscribe(c, args[2])
	case op == "F":
		c.full = true
	case op == "B":
		c.breaks = true
	case op == "D":
		s.drained(c)
	}
	for _, p := range s.pipes {
		checkShard(s.t, p.shard)
	}
}

// drained is what the loop does when a socket has got rid of its bytes.
func (s *script) drained(c *modelClient) {
	c.full = false
	if c.blocked {
		c.blocked = false
		clear(c.snaps)
		if up := s.pipes[c.shard].shard.Writable(c.slot); c.joined && !up {
			s.m.fatalf("%s has an empty socket and is not up to date", c.name)
		}
	}
}

// settle lets everything come to rest and judges all clients.
func (s *script) settle() {
	s.done = append(s.done, "(settle)")
	for _, p := range s.pipes {
		for p.due > 0 {
			p.drain(0, wholeDay)
		}
		if !p.idle() {
			s.m.fatalf("messages are waiting and no drain is due")
		}
	}
	for _, c := range s.m.clients {
		if c.joined {
			s.drained(c)
		}
		if c.joined {
			s.m.settled(c)
		}
	}
	for _, p := range s.pipes {
		checkShard(s.t, p.shard)
	}
}

// runScript runs a whole script and then has everybody leave.
func runScript(t testing.TB, lines []string, mailbox int) {
	t.Helper()
	s := newScript(t, mailbox)
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			s.run(line)
		}
	}
	s.settle()
	for _, c := range s.m.clients {
		if c.joined {
			s.leave(c)
		}
	}
	s.settle()
	s.expire()
	if len(s.hub.topics)+len(s.hub.interests) > 0 || s.hub.tree.n+s.hub.patterns.n > 0 {
		s.m.fatalf("the hub is left with topics %v and interests %v", s.hub.topics, s.hub.interests)
	}
	for i, p := range s.pipes {
		if n := len(p.shard.names) + p.shard.wild.n; n > 0 {
			s.m.fatalf("shard %d is left with %d filters", i, n)
		}
		for id, st := range p.shard.byID {
			if st != nil {
				s.m.fatalf("shard %d is left with topic %s at %d", i, st.topic.name, id)
			}
		}
	}
}
