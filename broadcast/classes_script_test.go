package broadcast

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
	"tickcast/broadcast/wire/wiretest"
	"tickcast/wsproto"
)

// classRate is the slower pace of the topics under r.
const classRate = 10 * time.Millisecond

// A classScript runs random operations on one shard with lossless topics under l and topics with a rate under r. Its clients
// check the promises of docs/protocol.md. A lossless topic brings every message once, each with the one before it in p, through
// closed connections and cursors too. The others bring no message twice, and the newest in the end.
type classScript struct {
	t       *testing.T
	r       *rand.Rand
	hub     *Shards
	shard   *Shard
	clients []*classClient
	done    []string

	total     uint64            // the last sequence given out
	known     map[string]bool   // names that a client has asked for: the hub keeps their messages, since it does not run
	newest    map[string]uint64 // sequences
	sequences map[string][]uint64
}

type classClient struct {
	name         string
	slot         uint32
	joined       bool
	held         []string
	full, behind bool
	last         map[string]uint64 // sequence of the last message by topic; absent = no message to compare with
	first        map[string]uint64 // the last sequence given out when it subscribed
}

var (
	classTopics = []string{"l.A", "l.B", "r.A", "r.B", "r.C"}
	classNames  = append(classTopics[:5:5], "l.*", "r.*")
)

func newClassScript(t *testing.T, seed uint64) *classScript {
	cfg := openConfig()
	cfg.Classes = []topics.Class{
		{Match: "l.>", Mode: topics.ModeAll, History: 1000, Snapshot: topics.SnapshotNone},
		{Match: "r.>", Rates: []time.Duration{classRate, 3 * classRate}},
	}
	if seed%2 == 1 {
		cfg.QueueBytes = 400
	}
	if seed%3 == 1 {
		cfg.FlushInterval = classRate / 4
	}
	if seed%3 == 2 {
		cfg.MailboxMessages = 3
	}
	s := &classScript{t: t, r: rand.New(rand.NewPCG(seed, 2)), hub: New(cfg), known: make(map[string]bool), newest: make(map[string]uint64), sequences: make(map[string][]uint64)}
	s.shard = s.hub.Shard(0)
	s.shard.Attach(s, func() {})
	for i := range 4 {
		c := &classClient{name: string(rune('a' + i)), slot: uint32(i), last: make(map[string]uint64), first: make(map[string]uint64)}
		s.clients = append(s.clients, c)
	}
	return s
}

func (s *classScript) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(s.done, "\n"))
}

func (s *classScript) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	c := s.clients[slot]
	for _, f := range wiretest.SplitFrames(frames) {
		s.told(c, f)
		taken += len(f)
		if c.behind = c.behind || c.full; c.behind {
			return taken, false
		}
	}
	return taken, true
}

func (s *classScript) Close(slot uint32, code wsproto.StatusCode, reason string) {
	s.done = append(s.done, "  closed "+s.clients[slot].name+" "+reason)
	if code != wire.StatusSlowConsumer {
		s.fatalf("closed with %d %s", code, reason)
	}
	s.leave(s.clients[slot])
}

func (s *classScript) leave(c *classClient) {
	c.joined, c.full, c.behind, c.held = false, false, false, nil
	s.shard.Leave(c.slot)
}

func (c *classClient) holds(topic string) bool {
	return slices.ContainsFunc(c.held, func(p string) bool { return subject.Covers(p, topic) })
}

func (s *classScript) told(c *classClient, frame []byte) {
	m, err := wiretest.ParseTold(frame)
	if err != nil || !c.joined {
		s.fatalf("%s (joined: %v) was sent %q: %v", c.name, c.joined, frame, err)
	}
	if m.Op != "" {
		return
	}
	s.done = append(s.done, fmt.Sprintf("  %s gets %s p=%d", c.name, m.Short(), m.P))
	last, known := c.last[m.T]
	switch {
	case !c.holds(m.T):
		s.fatalf("%s does not hold %s", c.name, m.T)
	case known && (m.S < last || m.S == last && m.K == ""):
		s.fatalf("%s was told %s after %d", c.name, m.Short(), last)
	case m.T[0] == 'r':
	case m.K != "":
		s.fatalf("%s was told %s", c.name, m.Short())
	case known && m.P != last || !known && slices.ContainsFunc(s.sequences[m.T], func(seq uint64) bool { return seq > c.first[m.T] && seq < m.S }):
		s.fatalf("%s misses messages of %s: %d follows %d, it has %d (%v), subscribed at %d", c.name, m.T, m.S, m.P, last, known, c.first[m.T])
	}
	c.last[m.T] = m.S
}

// subscribe subscribes c to a name that it may hold, with a cursor where a new connection has one.
func (s *classScript) subscribe(c *classClient, name, rate string) {
	after := ""
	if !c.holds(name) && name[0] == 'l' && !subject.IsPattern(name) {
		if last, known := c.last[name]; known {
			after = s.hub.Cursor(s.hub.ClassOver(name), topics.Position{Seq: last})
		}
	}
	if !slices.Contains(c.held, name) {
		for _, topic := range classTopics {
			if subject.Covers(name, topic) && !c.holds(topic) && after == "" {
				delete(c.last, topic)
				c.first[topic] = s.total
			}
		}
		c.held = append(c.held, name)
	}
	s.known[name] = true
	s.done = append(s.done, fmt.Sprintf("  subscribes at %d, after %q, rate %q", s.total, after, rate))
	s.shard.Subscribe(c.slot, []string{name}, after, rate)
}

func (s *classScript) unsubscribe(c *classClient, name string) {
	s.shard.flush(c.slot) // as Apply does
	if i := slices.Index(c.held, name); c.joined && i >= 0 {
		c.held = slices.Delete(c.held, i, i+1)
		s.shard.Apply(c.slot, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, name))
		for _, topic := range classTopics {
			if !c.holds(topic) {
				delete(c.last, topic)
			}
		}
	}
}

func (s *classScript) publish(topic string) {
	s.hub.Publish(topic, []byte("1"))
	for name := range s.known {
		if subject.Covers(name, topic) {
			s.total++
			s.newest[topic] = s.total
			s.sequences[topic] = append(s.sequences[topic], s.total)
			break
		}
	}
	s.done = append(s.done, fmt.Sprintf("  %s %d", topic, s.total))
}

func (s *classScript) writable(c *classClient) {
	c.full = false
	if c.joined && c.behind {
		c.behind = false
		s.shard.Writable(c.slot)
	}
}

// op runs one random operation.
func (s *classScript) op() {
	c := s.clients[s.r.IntN(len(s.clients))]
	name := classNames[s.r.IntN(len(classNames))]
	what := s.r.IntN(20)
	s.done = append(s.done, fmt.Sprint(what, " ", c.name, " ", name))
	switch {
	case what == 0 && c.joined:
		s.leave(c)
	case !c.joined && what < 12:
		c.joined = true
		s.shard.Join(c.slot, wire.CodecJSON, 0)
	case what < 4 && c.joined:
		rate := ""
		if name[0] == 'r' {
			rate = []string{"", classRate.String(), (3 * classRate).String()}[s.r.IntN(3)]
		}
		s.subscribe(c, name, rate)
	case what == 4 && c.joined:
		s.unsubscribe(c, name)
	case what < 7:
		c.full = c.joined
	case what < 9:
		s.writable(c)
	case what < 14:
		s.publish(classTopics[s.r.IntN(len(classTopics))])
	case what < 18:
		s.shard.fanout.steps = lookAtClock - uint32(1+s.r.IntN(8))
		s.shard.Drain(0)
	default:
		time.Sleep(classRate / 2)
		s.shard.Drain(time.Second)
	}
}

// settle lets all clients read all messages and checks that they have them.
func (s *classScript) settle() {
	for range 10 {
		time.Sleep(classRate)
		for n := 0; s.shard.Drain(time.Second); n++ {
			if n > 100 {
				s.fatalf("the shard never rests")
			}
		}
		for _, c := range s.clients {
			s.writable(c)
		}
	}
	for _, c := range s.clients {
		for _, topic := range classTopics {
			_, known := c.last[topic]
			if want := s.newest[topic]; c.joined && c.holds(topic) && c.last[topic] != want && (known || want > c.first[topic]) {
				s.fatalf("%s holds %v and has %s up to %d, want %d", c.name, c.held, topic, c.last[topic], want)
			}
		}
	}
	if n := s.hub.Stats().QueuePlaces; n != 0 {
		s.fatalf("%d places of empty queues are counted", n)
	}
	if n := s.hub.Stats().QueuedBytes; n != 0 {
		s.fatalf("%d bytes are counted as queued", n)
	}
	checkCounts(s)
}

func checkCounts(s *classScript) {
	for slot := range s.shard.subs.Len() {
		if sub := s.shard.subs.At(slot); sub.pending != 0 || sub.backlog != nil {
			s.fatalf("slot %d still waits", slot)
		}
	}
	b := &s.shard.batch
	if ends := len(b.light.ends) + len(b.heavy.ends); len(b.bundles) != 0 || ends != 0 {
		s.fatalf("%d bundles and %d ends are left", len(b.bundles), ends)
	}
}

func TestClassesAgainstModel(t *testing.T) {
	for seed := range uint64(120) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newClassScript(t, seed)
				for range 5 {
					for range 80 {
						s.op()
					}
					s.done = append(s.done, "settle")
					s.settle()
				}
			})
		})
	}
}
