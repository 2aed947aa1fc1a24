package broadcast

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

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
			s.publish(args[1])
		}
	case op == "R":
		steps, _ := strconv.Atoi(args[2])
		p, _ := strconv.Atoi(args[1])
		s.pipes[p].drain(uint32(steps), 0)
	case op == "N":
		s.m.stale = !s.m.stale
		s.hub.SetStale(s.m.stale)
	case op == "E":
		s.expire()
	case op == "J" && !c.joined:
		s.join(c)
	case !c.joined:
	case op == "C":
		s.leave(c)
	case c.question != nil && (op == "S" || op == "M" || op == "A" || op == "U"): // one answer at a time
	case op == "S", op == "A":
		s.subscribe(c, args[2], op == "A")
	case op == "M":
		s.subscribeMany(c, strings.Split(args[2], ","))
	case op == "U":
		s.unsubscribe(c, args[2])
	case op == "F":
		c.full = true
	case op == "B":
		c.breaks = true
	case op == "D":
		s.drained(c)
	}
	for _, c := range s.m.clients {
		if c.question != nil {
			s.noteRaised(c)
			s.judge(c)
		}
	}
	s.check()
}

// check fails unless the tables of the shards and the hub fit together.
func (s *script) check() {
	if err := s.hub.Check(); err != nil {
		s.m.fatalf("%v", err)
	}
}

// publish publishes one message, and sees which mailboxes have replaced an earlier one by it: nobody is told of that.
func (s *script) publish(topic string) {
	before := make([]int, len(s.pipes))
	for i, p := range s.pipes {
		before[i] = p.shard.mailbox.Len()
	}
	earlier := s.m.latest[topic]
	s.hub.Publish(topic, []byte(s.m.publish(topic)))
	for _, c := range s.m.clients {
		if c.holds(topic) && s.pipes[c.shard].shard.mailbox.Len() == before[c.shard] {
			delete(c.must, earlier)
		}
	}
}

// drained is the loop's event that a socket has taken all bytes.
func (s *script) drained(c *modelClient) {
	c.full = false
	if c.blocked {
		c.blocked = false
		clear(c.snaps)
		if up := s.pipes[c.shard].shard.Writable(c.slot); c.joined && !up && (c.question == nil || c.question.many == nil) {
			s.m.fatalf("%s has an empty socket and is not up to date", c.name)
		}
	}
}

// settle finishes all drains and judges all clients.
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
		if c.joined && c.question != nil {
			if s.judge(c); c.question != nil {
				s.m.fatalf("%s is never answered", c.name)
			}
		}
		if c.joined {
			s.drained(c)
		}
		if c.joined {
			s.m.settled(c)
		}
	}
	s.check()
}

// runScript runs a whole script, at the end of which all clients leave. It needs the fake clock of synctest.
func runScript(t testing.TB, lines []string, mailbox int) {
	t.Helper()
	s := newScript(t, mailbox)
	defer startRun(s.hub, silentUpstream{})()
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
	s.check()
	if st := s.hub.Stats(); st.Topics+st.Interests > 0 {
		s.m.fatalf("the hub is left with %d topics and %d interests", st.Topics, st.Interests)
	}
	for i, p := range s.pipes {
		if n := len(p.shard.filters.names) + p.shard.filters.wild.Len(); n > 0 {
			s.m.fatalf("shard %d is left with %d filters", i, n)
		}
		for id, st := range p.shard.filters.byID {
			if st != nil {
				s.m.fatalf("shard %d is left with topic %s at %d", i, st.topic.Name, id)
			}
		}
	}
}
