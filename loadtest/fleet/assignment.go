package fleet

import (
	"cmp"
	"math"
	"slices"
)

// A role is the behaviour of a client once it is subscribed.
type role uint8

const (
	roleReader role = iota
	roleSlow        // reads a few bytes at a time
	roleSilent      // half-open: neither reads nor answers, like a client whose host is gone
)

// owed reports whether the server owes the client every message before the run ends.
func (r role) owed() bool { return r == roleReader }

// An assignment distributes topics, cohorts and probes. Each value follows from the number of a client and the seed, so the
// processes of a run agree without storing it.
type assignment struct {
	seed     uint64
	topics   int
	each     int       // topics of a client
	zipf     []float64 // cumulative shares of the topics; nil: topics are assigned in turn
	steps    []int     // from one topic of a client to its next; assigned in turn too
	slow     float64
	halfOpen float64
	probes   float64 // share of the clients
}

func newAssignment(cfg Config) assignment {
	a := assignment{
		seed: cfg.Seed, topics: len(cfg.Topics), each: min(cmp.Or(cfg.TopicsPerConn, 1), len(cfg.Topics)),
		slow: cfg.Slow, halfOpen: cfg.HalfOpen, probes: 1,
	}
	if cfg.Probes > 0 {
		a.probes = float64(cfg.Probes) / float64(cmp.Or(cfg.RunConns, cfg.Conns))
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

// draw returns a number from 0 to 1. It is always the same for a client and a purpose.
func (a *assignment) draw(i int, purpose uint64) float64 {
	// The finalizer of SplitMix64: each bit of its input changes about half of the bits of its output.
	z := a.seed ^ purpose*0x9e3779b97f4a7c15 + uint64(i)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// The purposes of draw. Topics follow the last one.
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

// coprimes returns the numbers below m that share no factor with m. Steps of such a length through a ring of m places meet
// each place once before they repeat.
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
