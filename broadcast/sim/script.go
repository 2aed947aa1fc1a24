package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// An op is one operation. Its numbers are taken modulo the number of parts that there are, so that every op is possible in
// every world.
type op struct {
	kind    opKind
	a, b, c uint32
}

type opKind uint8

const (
	opPub    opKind = iota // topic, messages
	opBurst                // first topic, messages
	opNet                  // node, connection, messages that reach the process
	opRecv                 // node, connection, messages that reach the hub
	opHub                  // node
	opLoop                 // node, loop, steps
	opTime                 // milliseconds
	opJoin                 // client, node, loop
	opLeave                // client
	opSub                  // client, name, rate
	opSubs                 // client, name: several names of one kind in one command
	opUnsub                // client, which
	opResume               // client, node and loop, the way of its cursors
	opAfter                // client, name, the way of its cursor: on the connection as it is
	opSlow                 // client, bytes of its socket
	opRead                 // client, messages
	opFast                 // client
	opBreak                // client
	opCut                  // node, connection, messages that still come
	opUp                   // node, connection
	opFreeze               // node, connection
	opThaw                 // node, connection
	opDeny                 // node, topic
	opAllow                // node
	opFollow               // node, stream, messages
	opAsk                  // node, stream, lag of the copy that answers
	opAnswer               // node, stream, whether it fails
	opPurge                // stream
	opAnew                 // stream
	opDelete               // stream
	opLeader               // stream: it loses its leader, or gets one
	opQuiet                // to a standstill
	opKinds
)

var opNames = [opKinds]string{
	"pub", "burst", "net", "recv", "hub", "loop", "time", "join", "leave", "sub", "subs", "unsub", "resume", "after", "slow", "read",
	"fast", "break", "cut", "up", "freeze", "thaw", "deny", "allow", "follow", "ask", "answer", "purge", "anew", "delete", "leader", "quiet",
}

// weights are the shares of the operations of a random script.
var weights = [opKinds]int{
	opPub: 30, opBurst: 4, opNet: 14, opRecv: 14, opHub: 10, opLoop: 18, opTime: 6, opJoin: 6, opLeave: 3, opSub: 10, opSubs: 6, opUnsub: 3,
	opResume: 8, opAfter: 3, opSlow: 4, opRead: 5, opFast: 2, opBreak: 1, opCut: 2, opUp: 3, opFreeze: 1, opThaw: 2, opDeny: 1, opAllow: 1,
	opFollow: 12, opAsk: 16, opAnswer: 14, opPurge: 1, opAnew: 1, opDelete: 1, opLeader: 1, opQuiet: 3,
}

// swarm returns a table of operations by weight for one seed. Each seed leaves out some kinds and has more of others: faults that
// hide each other are met alone in some of the seeds.
func swarm(r *rand.Rand) []opKind {
	list := make([]opKind, 0, 512)
	bits := r.Uint64()
	for k, n := range weights {
		switch bits >> (2 * k) & 3 {
		case 0:
			if k := opKind(k); k != opPub && k != opJoin && k != opSub && k != opLoop && k != opRecv && k != opNet {
				n = 0
			}
		case 1:
			n *= 3
		}
		for range n {
			list = append(list, opKind(k))
		}
	}
	return list
}

func (o op) String() string { return fmt.Sprintf("%s %d %d %d", opNames[o.kind], o.a, o.b, o.c) }

// A Setup is the size of a world and its limits.
type Setup struct {
	Nodes, Loops, Conns int
	Mailbox, Conflate   int // messages
	Queue               int // bytes
	Pending             int // messages of a connection to NATS that wait for the hub
	History             int // messages
	Keep                int // messages of a stream
	Always              int // 1: the delayed class is subscribed to from the start, as its default is
	Soon                int // 1: streams are looked for again after a moment, so that commands come between
}

// A Script is a run: the world, and the operations in it.
type Script struct {
	Setup Setup
	Log   func(line string) // each step; nil = nowhere
	ops   []op
}

// NewScript returns the script of a seed, with so many operations.
func NewScript(seed uint64, operations int) Script {
	r := rand.New(rand.NewPCG(seed, 0x7469636b63617374))
	pick := func(of ...int) int { return of[r.IntN(len(of))] }
	s := Script{Setup: Setup{
		Nodes: pick(1, 2, 2, 3), Loops: pick(1, 2, 2), Conns: pick(1, 2),
		Mailbox: pick(3, 8, 1000), Conflate: pick(2, 1000), Queue: pick(300, 800, 100_000),
		Pending: pick(4, 16, 1000), History: pick(3, 8, 50), Keep: pick(5, 20, 1000),
	}}
	s.ops = make([]op, operations)
	picks := swarm(r)
	for i := range s.ops {
		v := r.Uint64()
		s.ops[i] = op{picks[uint32(v)%uint32(len(picks))], uint32(v>>32) % 997, uint32(v>>42) % 1009, uint32(v>>52) % 1013}
	}
	s.Setup.Always, s.Setup.Soon = r.IntN(2), r.IntN(4)/3
	return s
}

// String writes s so that ParseScript reads it.
func (s Script) String() string {
	var b strings.Builder
	u := s.Setup
	fmt.Fprintf(&b, "world %d %d %d %d %d %d %d %d %d", u.Nodes, u.Loops, u.Conns, u.Mailbox, u.Conflate, u.Queue, u.Pending, u.History, u.Keep)
	if u.Always > 0 {
		b.WriteString(" always")
	}
	if u.Soon > 0 {
		b.WriteString(" soon")
	}
	b.WriteByte('\n')
	for _, o := range s.ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// ParseScript reads a script. Lines that begin with # are comments.
func ParseScript(text string) (s Script, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if u := &s.Setup; strings.HasPrefix(line, "world ") {
			_, err = fmt.Sscanf(line, "world %d %d %d %d %d %d %d %d %d", &u.Nodes, &u.Loops, &u.Conns, &u.Mailbox, &u.Conflate, &u.Queue, &u.Pending, &u.History, &u.Keep)
			u.Always, u.Soon = strings.Count(line, " always"), strings.Count(line, " soon")
		} else if line != "" && line[0] != '#' {
			var o op
			name := ""
			_, err = fmt.Sscanf(line, "%s %d %d %d", &name, &o.a, &o.b, &o.c)
			k := slices.Index(opNames[:], name)
			if k < 0 {
				return s, fmt.Errorf("sim: no operation %q", name)
			}
			o.kind = opKind(k)
			s.ops = append(s.ops, o)
		}
		if err != nil {
			return s, fmt.Errorf("sim: script line %q: %w", line, err)
		}
	}
	return s, nil
}
