package broadcast

import (
	"encoding/json"
	"flag"
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

// A deliveryScript does random things to two shards with clients and a third one with an observer, over topics of all kinds: l
// lossless with a history, n without, d delayed, k of mode last, s lossless in a stream. An oracle judges all that is written.
type deliveryScript struct {
	*oracle
	hub     *Shards
	up      *streamUpstream
	next    func(n int) int // a choice
	viewers []*viewer
}

var (
	deliveryTopics = []string{"l.A", "l.B", "n.A", "n.B", "d.A", "d.B", "k.A", "k.B", "s.A", "s.B"}
	deliveryNames  = append(slices.Clone(deliveryTopics), "l.*", "n.*", "d.*", "k.*", "s.*")
)

const deliveryDelay = 50 * time.Millisecond

// A deliveryOutlet is the outlet of one shard.
type deliveryOutlet struct {
	s     *deliveryScript
	shard int
}

func newDeliveryScript(t testing.TB, next func(int) int) *deliveryScript {
	stream := topics.Class{Match: "s.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream, History: 30}
	cfg := Config{
		Config: topics.Config{
			Shards: 3, Linger: 20 * time.Millisecond, ConflateAbove: 2, MailboxMessages: []int{3, 10, 1000}[next(3)],
			Classes: []topics.Class{
				{Match: "l.>", Mode: topics.ModeAll, History: 30}, {Match: "n.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotNone},
				{Match: "d.>", Subject: "q.>", Mode: topics.ModeAll, History: 30, Delay: deliveryDelay}, stream,
			},
		},
		Subscribe: []string{">"}, QueueBytes: []int{600, 1 << 20}[next(2)],
	}
	s := &deliveryScript{hub: New(cfg), up: new(streamUpstream), next: next}
	s.oracle = &oracle{
		t: t, published: make(map[string]uint64), seqs: make(map[string]map[uint64]uint64), newest: make(map[string]uint64),
		missed: make(map[string]bool), accepted: make(map[string]uint64),
	}
	s.end = func(topic string) uint64 {
		if topic[0] == 's' {
			return s.up.stream.last
		}
		_, at, _ := s.hub.Raise(2, "l.>")
		return at.Seq
	}
	for i := range 3 {
		s.hub.Shard(i).Attach(deliveryOutlet{s, i}, func() {})
	}
	for i := range 4 {
		v := newViewer(string(rune('a'+i)), i/2)
		v.slot = uint32(i % 2)
		s.viewers = append(s.viewers, v)
	}
	s.up.make()
	return s
}

func (out deliveryOutlet) Write(slot uint32, frames []byte, _ int) (taken int, ok bool) {
	s := out.s
	for _, f := range wiretest.SplitFrames(frames) {
		taken += len(f)
		if out.shard == 2 {
			s.observed(f)
			continue
		}
		v := s.viewers[2*out.shard+int(slot)]
		s.told(v, f)
		if v.behind = v.behind || v.full; v.behind {
			return taken, false
		}
	}
	return taken, true
}

func (out deliveryOutlet) Close(slot uint32, code wsproto.StatusCode, reason string) {
	if code != wire.StatusSlowConsumer || out.shard == 2 {
		out.s.fatalf("closed with %d %s", code, reason)
	}
	v := out.s.viewers[2*out.shard+int(slot)]
	out.s.ended(v, reason)
	out.s.leave(v)
}

func (s *deliveryScript) leave(v *viewer) {
	v.joined, v.full, v.behind, v.asked, v.held = false, false, false, nil, nil
	s.hub.Shard(v.shard).Leave(v.slot)
}

// observe lets the observer take all that the hub has.
func (s *deliveryScript) observe() {
	synctest.Wait()
	drainAll(s.hub.Shard(2))
}

// open joins v and sends its one command, with cursors of all kinds.
func (s *deliveryScript) open(v *viewer) {
	v.joined, v.order, v.stale, v.after = true, make(map[string]uint64), make(map[string]bool), make(map[string]wire.Cursor)
	for _, f := range s.hub.Shard(v.shard).Join(v.slot, wire.CodecJSON, 0) {
		s.told(v, f)
	}
	for range 1 + s.next(4) {
		name := deliveryNames[s.next(len(deliveryNames))]
		if !slices.ContainsFunc(v.asked, func(p string) bool { return subject.Covers(p, name) || subject.Covers(name, p) }) {
			v.asked = append(v.asked, name)
		}
	}
	after := wire.After{Of: make(map[string]string)}
	for _, name := range v.asked {
		if cursor, known := s.cursor(v, name); known {
			v.after[name] = cursor
			after.Of[name] = cursor.String()
		}
	}
	if s.next(5) == 0 {
		v.forget()
	}
	command, _ := json.Marshal(wire.Command{Op: "sub", Topics: v.asked, After: after})
	s.done = append(s.done, "    "+string(command))
	s.hub.Shard(v.shard).Apply(v.slot, command)
}

// cursor returns a cursor that v may have in a topic or pattern.
func (s *deliveryScript) cursor(v *viewer, name string) (wire.Cursor, bool) {
	lowest, epoch := uint64(0), ""
	for _, topic := range deliveryTopics {
		if seq, known := v.seq[topic]; known && subject.Covers(name, topic) && (epoch == "" || seq < lowest) {
			lowest, epoch = seq, v.epoch[topic]
		}
	}
	if epoch == "" {
		return wire.Cursor{}, false
	}
	switch s.next(8) {
	case 0:
		return wire.Cursor{}, false
	case 1:
		lowest += 1000 // beyond the end
	case 2:
		if name[0] != 'd' { // see oracle.acked
			lowest -= min(lowest, uint64(s.next(4)))
		}
	case 4:
		if name[0] == 's' && epoch == s.up.stream.epoch { // from another node
			lowest = s.up.stream.last
		}
	case 3:
		if c, err := wire.ParseCursor(v.closed); err == nil && c.Epoch == epoch && name[0] != 'd' {
			lowest = c.Seq
		}
	}
	return wire.Cursor{Epoch: epoch, Seq: lowest}, true
}

func (s *deliveryScript) publish(topic string) {
	s.published[topic]++
	payload := strconv.FormatUint(s.published[topic], 10)
	switch topic[0] {
	case 's':
		s.up.stream.publish(topic, payload)
		s.note(topic, s.up.stream.last, s.published[topic])
	case 'd':
		s.hub.Deliver("q"+topic[1:], []byte(payload), "")
	default:
		s.hub.Deliver(topic, []byte(payload), "")
	}
	s.done = append(s.done, "    "+topic+" = "+payload)
}

// lose loses messages of a kind of topics.
func (s *deliveryScript) lose(topic string) {
	kind := topic[:1]
	source := kind
	if kind == "d" {
		source = "q"
	}
	if kind == "s" {
		return
	}
	s.observe()
	s.published[topic]++
	s.hub.Lose("upstream", true, func(subject string) bool { return subject[:1] == source })
	total := s.end("l")
	for _, t := range deliveryTopics {
		if t[:1] == kind && kind != "d" {
			s.note(t, total, s.published[t])
			s.missed[t] = true
		}
	}
}

// op does one random thing.
func (s *deliveryScript) op() {
	v, topic, what := s.viewers[s.next(len(s.viewers))], deliveryTopics[s.next(len(deliveryTopics))], s.next(32)
	s.done = append(s.done, fmt.Sprint(what, " ", v.name, " ", topic))
	shard := s.hub.Shard(v.shard)
	switch {
	case what < 3:
		if !v.joined {
			s.open(v)
		}
	case what == 3:
		if v.joined {
			s.leave(v)
		}
	case what == 4:
		v.full = v.joined
	case what == 5:
		s.writable(v)
	case what < 16:
		for range 1 + s.next(3) {
			s.publish(topic)
		}
	case what < 22:
		shard.fanout.steps = lookAtClock - uint32(1+s.next(8))
		shard.Drain(0)
	case what < 24:
		s.lose(topic)
	case what == 24:
		s.away = !s.away
		s.hub.SetStale(s.away)
	case what < 28:
		s.step(func(to topics.StreamSink) error { s.up.stream.deliver(to, 1+s.next(3)); return nil })
	case what == 28:
		s.up.stream.evict(s.next(3))
	case what == 29 && s.next(4) == 0:
		s.remake()
	default:
		time.Sleep(deliveryDelay / 2)
	}
	s.observe()
}

// step lets the reader of the stream do something, if it is there.
func (s *deliveryScript) step(f func(topics.StreamSink) error) {
	select {
	case s.up.stream.steps <- f:
	default:
	}
	synctest.Wait()
}

// remake makes the stream anew.
func (s *deliveryScript) remake() {
	s.done = append(s.done, "    (made anew)")
	old := s.up.make
	stream := s.up.stream
	old()
	for _, topic := range []string{"s.A", "s.B"} {
		delete(s.seqs, topic)
		delete(s.newest, topic)
		s.note(topic, 0, s.published[topic]) // the rest has never been in this one
	}
	select {
	case stream.steps <- func(topics.StreamSink) error { return fmt.Errorf("the stream is gone") }:
	default:
	}
	time.Sleep(2 * time.Second)
}

func (s *deliveryScript) writable(v *viewer) {
	if v.full = false; v.joined && v.behind {
		v.behind = false
		s.hub.Shard(v.shard).Writable(v.slot)
	}
}

// settle lets everything come to its end and judges all clients.
func (s *deliveryScript) settle() {
	s.done = append(s.done, "settle")
	if s.away {
		s.away = false
		s.hub.SetStale(false)
	}
	for range 4 {
		time.Sleep(2 * time.Second)
		s.step(func(to topics.StreamSink) error { s.up.stream.deliver(to, 1000); return nil })
		s.observe()
		for _, v := range s.viewers {
			drainAll(s.hub.Shard(v.shard))
			s.writable(v)
		}
	}
	for _, v := range s.viewers {
		if v.joined {
			s.settled(v)
		}
	}
	if err := s.hub.Check(); err != nil {
		s.fatalf("%v", err)
	}
}

// runDelivery runs a script of so many operations, whose choices next makes.
func runDelivery(t testing.TB, ops int, next func(n int) int) {
	s := newDeliveryScript(t, next)
	defer startRun(s.hub, s.up)()
	s.hub.Shard(2).Join(0, wire.CodecJSON, 0)
	s.hub.Shard(2).Subscribe(0, []string{"l.>", "n.>", "d.>", "k.>", "s.>"}, "", "")
	synctest.Wait()
	s.observe()
	for range 4 {
		for range ops / 4 {
			s.op()
		}
		s.settle()
	}
	s.done = nil
}

var deliverySeeds = flag.Uint64("delivery.seeds", 150, "seeds of TestDelivery")

func TestDelivery(t *testing.T) {
	for seed := range *deliverySeeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			synctest.Test(t, func(t *testing.T) { runDelivery(t, 240, r.IntN) })
		})
	}
}

func FuzzDelivery(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x00\x01\x07", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2000 {
			t.Skip("long scripts find nothing that short ones do not")
		}
		at := 0
		next := func(n int) int {
			if at++; at > len(b) {
				return (at * 7) % n
			}
			return int(b[at-1]) % n
		}
		synctest.Test(t, func(t *testing.T) { runDelivery(t, len(b)/4, next) })
	})
}
