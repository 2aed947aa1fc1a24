package fleet

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	steps := []Step{{10, time.Second}, {20, time.Minute}}
	for _, tt := range []struct {
		i     int
		ramp  float64
		steps []Step
		want  time.Duration
	}{
		{0, 0, nil, 0},
		{1000, 0, nil, 0},
		{1000, 100, nil, 10 * time.Second},
		{1, 3, nil, time.Second / 3},
		{9, 10, steps, 900 * time.Millisecond},
		{10, 10, steps, 2 * time.Second},
		{19, 0, steps, time.Second},
		{20, 0, steps, time.Second + time.Minute},
		{20, 10, steps, 3*time.Second + time.Minute},
	} {
		if got := due(tt.i, tt.ramp, tt.steps); got != tt.want {
			t.Errorf("client %d at %v a second, %v: %v, want %v", tt.i, tt.ramp, tt.steps, got, tt.want)
		}
	}
}

// near fails the test unless n of draws came out as often as their probability says, to five standard deviations.
func near(t *testing.T, name string, n, draws int, p float64) {
	t.Helper()
	want := p * float64(draws)
	if off := math.Abs(float64(n) - want); off > 5*math.Sqrt(want*(1-p))+1 {
		t.Errorf("%s: %d of %d, want about %.0f", name, n, draws, want)
	}
}

func TestZipfFollowsItsLaw(t *testing.T) {
	const topics, clients = 50, 100_000
	for _, exponent := range []float64{0.5, 1, 1.5} {
		plan := newAssignment(Config{Topics: make([]string, topics), Zipf: exponent, Conns: clients, Seed: 42})
		counts := make([]int, topics)
		for i := range clients {
			counts[plan.appendTopics(nil, i)[0]]++
		}
		sum := 0.0
		for k := range topics {
			sum += math.Pow(float64(k+1), -exponent)
		}
		for k, n := range counts {
			near(t, "topic "+strconv.Itoa(k), n, clients, math.Pow(float64(k+1), -exponent)/sum)
		}
	}
}

func TestSharesOfClients(t *testing.T) {
	const clients = 100_000
	for seed := range uint64(3) {
		plan := newAssignment(Config{Conns: clients, Slow: 0.01, HalfOpen: 0.2, Probes: 1000, Seed: seed})
		roles, probes, slowProbes := map[role]int{}, 0, 0
		for i := range clients {
			r := plan.role(i)
			roles[r]++
			if plan.probe(i) {
				probes++
				if r == roleSilent {
					slowProbes++
				}
			}
		}
		near(t, "slow", roles[roleSlow], clients, 0.01)
		near(t, "half-open", roles[roleSilent], clients, 0.2)
		near(t, "probes", probes, clients, 0.01)
		near(t, "probes that are half-open", slowProbes, probes, 0.2)
	}
}

// The parts of a run hold each client once, and agree on all that follows from its number.
func TestPartsShareClients(t *testing.T) {
	const conns, parts, workers = 101, 3, 2
	topics := []string{"a", "b", "c", "d", "e", "f", "g"}
	whole := Config{Conns: conns, Topics: topics, TopicsPerConn: 3, Zipf: 1, Slow: 0.3, HalfOpen: 0.3, Probes: 50, Seed: 9}
	want := newAssignment(whole)
	seen := make([]int, conns)
	for i := range parts {
		cfg := whole.Part(i, parts)
		f := &common{
			conns: cfg.Conns, first: cfg.First, stride: cfg.Stride, plan: newAssignment(cfg), topics: topics,
			targets: make([]target, 4), begun: time.Now(),
		}
		for id := range workers {
			w, err := newWorker(f, id, workers, 1, &Account{Tape: newTestTape(t, len(topics)), Run: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer w.release()
			for slot := range w.clients {
				c, n := &w.clients[slot], w.number(slot)
				seen[n]++
				var places []uint32
				for _, s := range w.ledger.subscriptionsOf(int32(slot)) {
					places = append(places, s.topic)
				}
				if !slices.Equal(places, want.appendTopics(nil, n)) || c.role != want.role(n) || c.probe != want.probe(n) ||
					w.target(int32(slot)) != n%4 {
					t.Errorf("client %d: topics %v, role %d, probe %v, server %d", n, places, c.role, c.probe, w.target(int32(slot)))
				}
			}
		}
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("client %d is there %d times", n, times)
		}
	}
}

// The time to find a client's topics does not depend on their number. A run needs them twice for each client.
func TestTopicsCostNothing(t *testing.T) {
	const topics, each = 10_000, 10
	plan := newAssignment(Config{Topics: make([]string, topics), TopicsPerConn: each})
	for i, want := range map[int][]uint32{0: {0, 1, 2}, topics - 1: {topics - 1, 0, 1}, topics + 1: {1, 4, 7}} {
		if got := plan.appendTopics(nil, i); len(got) != each || !slices.Equal(got[:3], want) {
			t.Errorf("client %d: %v, want %v", i, got, want)
		}
	}
	var places []uint32
	i := 0
	if n := testing.AllocsPerRun(100, func() { places, i = plan.appendTopics(places[:0], i), i+topics }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
