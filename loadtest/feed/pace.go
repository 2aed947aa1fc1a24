package feed

import (
	"math"
	"time"
)

// A Pace maps time to the number of messages that are due. Several goroutines may use it.
type Pace interface {
	// Count returns the number of messages that are due at a time after the start, as a fraction. It rises with time.
	Count(elapsed time.Duration) float64

	// Due is the inverse of Count: the time at which n messages are due.
	Due(n float64) time.Duration
}

// Constant is a steady pace, in messages a second.
type Constant float64

func (c Constant) Count(elapsed time.Duration) float64 { return elapsed.Seconds() * float64(c) }
func (c Constant) Due(n float64) time.Duration         { return seconds(n / float64(c)) }

// Bell is the pace of a market after its opening bell: it begins at Peak times the Base rate, and the excess over Base
// fades with the time constant Decay.
type Bell struct {
	Base  float64 // messages a second at the end
	Peak  float64 // times Base at the start
	Decay time.Duration
}

// The bell of a load test.
const (
	OpeningPeak  = 10
	OpeningDecay = 10 * time.Second
)

func (b Bell) Count(elapsed time.Duration) float64 {
	t, decay := elapsed.Seconds(), b.Decay.Seconds()
	return b.Base * (t + (b.Peak-1)*decay*(1-math.Exp(-t/decay)))
}

func (b Bell) Due(n float64) time.Duration {
	// The inverse has no closed form. It lies between those of two constant paces.
	early, late := n/(b.Base*b.Peak), n/b.Base
	for range 64 {
		if mid := (early + late) / 2; b.Count(seconds(mid)) < n {
			early = mid
		} else {
			late = mid
		}
	}
	return seconds(late)
}

// seconds returns s seconds, or the longest duration there is.
func seconds(s float64) time.Duration {
	if d := s * float64(time.Second); d < math.MaxInt64 {
		return time.Duration(d)
	}
	return math.MaxInt64
}

// A metronome decides when to send. It is a pure function of the time since the start, so it does not drift and needs no
// clock.
type metronome struct {
	pace   Pace
	burst  uint64 // the most messages to send at once
	maxLag time.Duration
}

// due returns the intended time of message n, counted from the start.
func (m metronome) due(n uint64) time.Duration { return m.pace.Due(float64(n)) }

// next returns the work at a time after the start, when done messages have been sent or skipped: skip the next skip
// messages, send the send messages after them now, and call next again at the time wake.
func (m metronome) next(elapsed time.Duration, done uint64) (skip, send uint64, wake time.Duration) {
	if elapsed < m.due(done) {
		return 0, 0, m.due(done)
	}
	// Messages 0 to total-1 are due by now. Rounding may put the last of them a nanosecond off; it is then sent that much
	// early, or at the next call.
	total := max(done, uint64(m.pace.Count(elapsed))+1)
	if lag := elapsed - m.due(done); lag > m.maxLag {
		oldest := uint64(math.Ceil(m.pace.Count(elapsed - m.maxLag)))
		skip = max(done, oldest) - done
	}
	done += skip
	if total < done {
		total = done
	}
	send = min(total-done, m.burst)
	if done+send < total {
		// Still behind: catch up at twice the rate.
		return skip, send, elapsed + (m.due(done+send)-m.due(done))/2
	}
	return skip, send, max(m.due(done+send), elapsed)
}
