package loadtest

import (
	"math"
	"slices"
	"time"
)

// A Step interrupts the ramp: once so many connections of the run have been started, no other is for a while.
type Step struct {
	Conns int
	Hold  time.Duration
}

// due returns when connection i of a run is to be started, counted from its begin.
func due(i int, ramp float64, steps []Step) time.Duration {
	var at time.Duration
	if ramp > 0 {
		at = time.Duration(float64(i) / ramp * float64(time.Second))
	}
	for _, s := range steps {
		if i >= s.Conns {
			at += s.Hold
		}
	}
	return at
}

// A role is what a client does once it is subscribed.
type role uint8

const (
	roleReader role = iota
	roleSlow        // reads a few bytes at a time
	roleSilent      // half-open: neither reads nor answers, as one whose host is gone
)

// owed reports whether every message is to come to the client before the run ends.
func (r role) owed() bool { return r == roleReader }

// An assignment deals out topics, cohorts and probes. All its answers follow from the number of a client and the seed,
// so that the processes of a run agree, and nothing needs to be stored.
type assignment struct {
	seed     uint64
	topics   int
	each     int       // topics of a client
	zipf     []float64 // how much of all falls on the first topics; nil: they are dealt out in turn
	steps    []int     // from one topic of a client to its next, dealt out in turn too
	slow     float64
	halfOpen float64
	probes   float64 // share of the clients
}

func newAssignment(cfg FleetConfig) assignment {
	a := assignment{
		seed: cfg.Seed, topics: len(cfg.Topics), each: min(orDefault(cfg.TopicsPerConn, 1), len(cfg.Topics)),
		slow: cfg.Slow, halfOpen: cfg.HalfOpen, probes: 1,
	}
	if cfg.Probes > 0 {
		a.probes = float64(cfg.Probes) / float64(orDefault(cfg.RunConns, cfg.Conns))
	}
	if cfg.Zipf > 0 {
		a.zipf = zipf(len(cfg.Topics), cfg.Zipf)
	} else if a.each > 1 {
		a.steps = coprimes(a.topics)
	}
	return a
}

// zipf returns the cumulative distribution of Zipf's law over n places.
func zipf(n int, exponent float64) []float64 {
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -exponent)
		sums[i] = sum
	}
	for i := range sums {
		sums[i] /= sum
	}
	return sums
}

// draw returns a number from 0 to 1 that is the same each time for a client and a purpose.
func (a *assignment) draw(i int, purpose uint64) float64 {
	// The finalizer of SplitMix64: each bit of what goes in changes about half of what comes out.
	z := a.seed ^ purpose*0x9e3779b97f4a7c15 + uint64(i)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// What draw is asked for; topics follow.
const (
	drawRole = iota + 1
	drawProbe
	drawTopic
)

// role returns the cohort of client i.
func (a *assignment) role(i int) role {
	if a.slow == 0 && a.halfOpen == 0 {
		return roleReader
	}
	switch p := a.draw(i, drawRole); {
	case p < a.slow:
		return roleSlow
	case p < a.slow+a.halfOpen:
		return roleSilent
	}
	return roleReader
}

// probe reports whether the latencies of client i are recorded.
func (a *assignment) probe(i int) bool { return a.probes >= 1 || a.draw(i, drawProbe) < a.probes }

// appendTopics appends the places of client i's topics, each once.
func (a *assignment) appendTopics(dst []uint32, i int) []uint32 {
	if a.topics == 0 {
		return dst
	}
	if a.zipf == nil {
		step := 1
		if a.each > 1 {
			step = a.steps[i/a.topics%len(a.steps)]
		}
		for j := range a.each {
			dst = append(dst, uint32((i+j*step)%a.topics))
		}
		return dst
	}
	from := len(dst)
	for j := range a.each {
		k, _ := slices.BinarySearch(a.zipf, a.draw(i, drawTopic+uint64(j)))
		for slices.Contains(dst[from:], uint32(k)) {
			k = (k + 1) % a.topics
		}
		dst = append(dst, uint32(k))
	}
	return dst
}

// coprimes returns the numbers below m that share no factor with m. Steps of such a length through a ring of m meet all
// places before one comes twice.
func coprimes(m int) (below []int) {
	for c := range m {
		if gcd(c, m) == 1 {
			below = append(below, c)
		}
	}
	return below
}

// gcd returns the greatest common divisor.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
