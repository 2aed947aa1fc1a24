package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/loadtest/machine"
	"tickcast/wsproto"
)

// newAccount returns a worker that is not running, with a ledger and so many clients, each of which has all topics.
func newAccount(t testing.TB, clients int, topics []string, lossless bool) *worker {
	t.Helper()
	f := &common{
		conns: clients, stride: 1, begun: time.Now(), begunAt: machine.Monotime(), targets: make([]target, 1), topics: topics,
		plan: newAssignment(Config{Conns: clients, Topics: topics, TopicsPerConn: len(topics)}),
	}
	w, err := newWorker(f, 0, 1, 1, &Account{Tape: newTestTape(t, len(topics)), Run: 1, Lossless: lossless})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.release)
	return w
}

// A modelSubscription keeps the number of every message that came.
type modelSubscription struct {
	answered bool
	base     uint32 // after the answer, later messages are owed
	last     uint32
	came     []uint32
}

// from is the message up to which every message is counted.
func (s *modelSubscription) from() uint32 { return max(s.base, s.last) }

// A ledgerModel is the account that a ledger should have, from all messages that ever came.
type ledgerModel struct {
	lossless bool
	slow     int // the client without owed messages
	subs     [][]modelSubscription
	left     TopicLedger // counts of clients that left
	now      TopicLedger // doubled and out of order
}

func (m *ledgerModel) owed(slot int) bool { return slot != m.slow }

func (m *ledgerModel) deliver(slot, topic int, n uint32) {
	s := &m.subs[slot][topic]
	switch {
	case n > s.last:
		s.last = n
		s.came = append(s.came, n)
	case s.last-n < window && slices.Contains(s.came, n):
		m.now.Doubled++
	default:
		m.now.OutOfOrder++
		// Messages older than the ledger's memory stay missing. Messages that are not owed are not remembered.
		if s.last-n < window && s.answered && n > s.base && m.owed(slot) {
			s.came = append(s.came, n)
		}
	}
}

// count adds a subscription's received and missing messages to l.
func (m *ledgerModel) count(l *TopicLedger, slot, topic int) {
	s := &m.subs[slot][topic]
	if !s.answered || !m.owed(slot) {
		return
	}
	for n := s.base + 1; n <= s.last; n++ {
		switch {
		case slices.Contains(s.came, n):
			l.Received++
		case m.lossless:
			l.Missing++
		default:
			l.Conflated++
		}
	}
}

func (m *ledgerModel) leave(slot, topic int) {
	m.count(&m.left, slot, topic)
	m.subs[slot][topic] = modelSubscription{}
}

// total returns the counters, and how many deliveries are still owed.
func (m *ledgerModel) total(tape *Tape) (all TopicLedger, behind int64) {
	all = m.left
	all.add(&m.now)
	for slot := range m.subs {
		for topic := range m.subs[slot] {
			m.count(&all, slot, topic)
			if s := &m.subs[slot][topic]; s.answered && m.owed(slot) {
				behind += int64(tape.Count(uint32(topic))) - int64(s.from())
			}
		}
	}
	return all, behind
}

// The steps of playLedger's scripts, two bytes each.
const (
	opPublish = iota
	opPublishMore
	opDeliver
	opDeliverMore
	opSkip     // a later message than the next one
	opBack     // an earlier one
	opAnswered // the subscriptions are in force
	opLate     // the same, of a server that does not answer
	opLeave
	opCount
)

// playLedger feeds the same deliveries to a ledger and the model, and compares them after each.
func playLedger(t *testing.T, script []byte, lossless bool) {
	t.Helper()
	const clients, slow = 3, 2
	topics := []string{"a", "b"}
	w := newAccount(t, clients, topics, lossless)
	w.clients[slow].role = roleSlow
	l := w.ledger
	m := &ledgerModel{lossless: lossless, slow: slow, subs: make([][]modelSubscription, clients)}
	for slot := range m.subs {
		m.subs[slot] = make([]modelSubscription, len(topics))
	}
	deliver := func(slot, topic int, n uint32) {
		if n < 1 || n > l.tape.Count(uint32(topic)) {
			return
		}
		c, s := &w.clients[slot], &m.subs[slot][topic]
		if c.replied && !s.answered {
			*s = modelSubscription{answered: true, base: n - 1, last: n - 1} // the first one of a late subscription
		}
		m.deliver(slot, topic, n)
		l.countDelivery(w, int32(slot), tick{run: 1, topic: uint32(topic), seq: n})
	}
	var trace []string
	for ; len(script) >= 2; script = script[2:] {
		op, arg := script[0]%opCount, int(script[1])
		slot, topic, x := arg%clients, arg/clients%len(topics), uint32(arg/clients/len(topics))
		c, s := &w.clients[slot], &m.subs[slot][topic]
		trace = append(trace, fmt.Sprint(op, ":", slot, topic, x))
		switch op {
		case opPublish, opPublishMore:
			l.tape.next(topic)
		case opDeliver, opDeliverMore:
			deliver(slot, topic, s.last+1)
		case opSkip:
			deliver(slot, topic, s.last+2+x%4*x%5)
		case opBack:
			deliver(slot, topic, s.last-min(s.last, x))
		case opAnswered, opLate:
			subs := m.subs[slot]
			if c.replied || op == opLate && slices.ContainsFunc(subs, func(s modelSubscription) bool { return s.last > 0 }) {
				continue
			}
			c.replied = true
			w.startOwing(int32(slot), op == opLate)
			for topic := range subs {
				published := l.tape.Count(uint32(topic))
				subs[topic].base, subs[topic].answered = published, op == opAnswered || published == 0
			}
		case opLeave:
			c.replied = false
			w.stopOwing(int32(slot))
			for topic := range topics {
				m.leave(slot, topic)
			}
		}
		want, behind := m.total(l.tape)
		var got TopicLedger
		for k := range l.byTopic {
			got.add(&l.byTopic[k])
		}
		got.Live, got.Reached = 0, 0
		if got != want || l.countBehind() != behind {
			t.Fatalf("lossless %v, after %v:\n%+v, %d behind; want\n%+v, %d", lossless, trace, got, l.countBehind(), want, behind)
		}
	}
}

// The ledger with its 16 bytes for a subscription counts as a model that remembers every message.
func TestLedgerCountsAsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		script := make([]byte, 2*300)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		// In half of the scripts clients leave rarely, so that numbers grow large.
		if round%2 == 0 {
			for i := 0; i < len(script); i += 2 {
				if script[i]%opCount == opLeave && rng.IntN(20) > 0 {
					script[i] = opPublish
				}
			}
		}
		playLedger(t, script, round%4 < 2)
	}
}

func FuzzLedger(f *testing.F) {
	f.Add([]byte{opAnswered, 0, opPublish, 0, opDeliver, 0, opBack, 0, opLeave, 0}, true)
	f.Add([]byte{opPublish, 0, opPublish, 0, opPublish, 0, opLate, 0, opSkip, 0, opBack, 6, opDeliver, 0}, false)
	f.Fuzz(func(t *testing.T, script []byte, lossless bool) {
		playLedger(t, script[:min(len(script), 800)], lossless)
	})
}

// adoptAll adopts socket pairs for all clients of a worker, has their subscriptions answered, and returns the other ends.
func adoptAll(t testing.TB, w *worker) (servers []int) {
	t.Helper()
	for i := range w.clients {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[1]) })
		w.adopt(t, int32(i), fds[0])
		w.grant(int32(i), true)
		servers = append(servers, fds[1])
	}
	return servers
}

// nextTick publishes a message and returns the frame that a server makes of it.
func nextTick(w *worker, topic uint32) []byte {
	l := w.ledger
	n := l.tape.next(int(topic))
	b := []byte(`{"t":"` + l.topics[topic] + `","s":918302,"d":`)
	b = appendTick(b, tick{run: l.run, topic: topic, seq: n, number: uint64(n - 1), at: w.fleet.now()}, 128)
	return wsproto.AppendFrame(nil, wsproto.OpText, append(b, '}'))
}

func TestLedgerDoesNotAllocate(t *testing.T) {
	const clients, rounds = 20, 200
	w := newAccount(t, clients, []string{"px.AAPL"}, true)
	servers := adoptAll(t, w)
	var frames [][]byte
	for range rounds + 1 {
		frames = append(frames, nextTick(w, 0))
	}
	// The account of these messages begins before them.
	for slot := range w.clients {
		w.stopOwing(int32(slot))
		w.ledger.subscriptionsOf(int32(slot))[0].base = 0
	}
	w.ledger.byTopic[0] = TopicLedger{Live: clients}
	w.ledger.touched = make([]uint64, 0, 8)
	if n := testing.AllocsPerRun(rounds, func() {
		for _, fd := range servers {
			if _, err := unix.Write(fd, frames[0]); err != nil {
				t.Fatal(err)
			}
		}
		frames = frames[1:]
		if err := w.runTurn(0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a message to %d clients", n, clients)
	}
	l := &w.ledger.byTopic[0]
	if l.Received != clients*(rounds+1) || l.Missing+l.Doubled+l.OutOfOrder != 0 || w.ledger.countBehind() != 0 || w.ledger.corrupted != 0 {
		t.Errorf("%+v, %d behind, troubles %+v", l, w.ledger.countBehind(), w.ledger.troubles)
	}
}

// The ledger distinguishes misrouted and changed messages.
func TestLedgerJudges(t *testing.T) {
	w := newAccount(t, 1, []string{"px.A", "px.B"}, true)
	server := adoptAll(t, w)[0]
	l := w.ledger
	good := nextTick(w, 0)
	step(t, w, server, good)
	frame := func(text string) []byte { return textFrames(text) }
	inner := func(x tick) string { return string(appendTick(nil, x, 0)) }
	for _, tt := range []struct {
		name string
		in   []byte
		data bool
		of   *uint64
	}{
		{"heartbeat", frame(`{"op":"hb"}`), false, nil},
		{"other data", frame(`{"t":"px.A","s":1,"d":{}}`), true, &l.corrupted},
		{"another run's", frame(`{"t":"px.A","s":1,"d":` + inner(tick{run: 2, seq: 1}) + `}`), true, &l.unknown},
		{"another topic's name", frame(`{"t":"px.A","s":1,"d":` + inner(tick{run: 1, topic: 1, seq: 1}) + `}`), true, &l.corrupted},
		{"a topic that is not there", frame(`{"t":"px.C","s":1,"d":` + inner(tick{run: 1, topic: 2, seq: 1}) + `}`), true, &l.corrupted},
		{"changed", frame(`{"t":"px.A","s":1,"d":` + inner(tick{run: 1, seq: 1})[:50] + `}`), true, &l.corrupted},
		{"doubled", good, true, &l.byTopic[0].Doubled},
	} {
		before, data := l.corrupted+l.unknown+l.byTopic[0].Doubled+l.byTopic[1].Doubled, w.totals.Data
		var of uint64
		if tt.of != nil {
			of = *tt.of
		}
		step(t, w, server, tt.in)
		after := l.corrupted + l.unknown + l.byTopic[0].Doubled + l.byTopic[1].Doubled
		if (w.totals.Data > data) != tt.data || tt.of != nil && *tt.of != of+1 || tt.of == nil && after != before {
			t.Errorf("%s: %+v, ledger %+v, %d corrupted, %d unknown", tt.name, w.totals, l.byTopic, l.corrupted, l.unknown)
		}
	}
	if l.byTopic[0].Received != 1 || l.byTopic[0].Missing != 0 {
		t.Errorf("%+v", l.byTopic[0])
	}
}

// Each of several ticks in a message counts once and in its place, also beside a changed one. An empty message behind it
// repeats no tick.
func TestLedgerBrokenAmongSeveral(t *testing.T) {
	w := newAccount(t, 1, []string{"px.A"}, true)
	server := adoptAll(t, w)[0]
	l := w.ledger
	one, two := appendTick(nil, tick{run: 1, seq: l.tape.next(0)}, 0), appendTick(nil, tick{run: 1, seq: l.tape.next(0)}, 0)
	step(t, w, server, textFrames(string(one)+string(two[:50])))
	step(t, w, server, textFrames(""))
	if got := l.byTopic[0]; got.Received != 2 || got.Doubled != 0 || got.Missing != 0 || l.countBehind() != 0 || l.corrupted != 1 {
		t.Errorf("ledger %+v, %d behind, %d corrupted", got, l.countBehind(), l.corrupted)
	}
}

// A value has an age while a newer one is published, for the probes alone.
func TestAgesOfHeldValues(t *testing.T) {
	w := newAccount(t, 3, []string{"a", "b"}, false)
	l := w.ledger
	for slot := range w.clients {
		c := &w.clients[slot]
		c.state, c.probe = stateOpen, slot < 2
		for k := range l.subscriptionsOf(int32(slot)) {
			l.subscriptionsOf(int32(slot))[k].base = 0
		}
	}
	for n := range uint32(3) {
		l.tape.setDue(0, l.tape.next(0), int64(n+1)*int64(time.Second))
	}
	l.tape.setDue(1, l.tape.next(1), int64(time.Second))
	for slot := range int32(3) {
		l.subscriptionsOf(slot)[0].last = uint32(slot) + 1 // 2 s, 1 s and none behind
		l.subscriptionsOf(slot)[1].last = 1                // the newest
	}
	w.clients[2].probe = false
	w.sampleAges(5 * int64(time.Second))
	got := countsOf(l.ages)
	var total int64
	for _, n := range got {
		total += n
	}
	if longest := got.Longest(); total != 2 || longest < 3_990_000 || longest > 4_010_000 {
		t.Errorf("ages %v", got)
	}
}
