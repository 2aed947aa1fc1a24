package admission

import (
	"sync"
	"time"
)

const (
	slot  = int64(time.Second) / 10
	slots = 11 // that a second can touch
)

// recent counts the events of the last second in slots of a tenth. The zero value has none.
type recent struct {
	last   int64 // number of the newest slot
	counts [slots]uint32
}

// take counts an event at a time in nanoseconds. It reports false and does not count it if there are most events in the slots that a
// second up to now can touch, or atOnce(most) in the slot of now. So no second has more than most, wherever it begins.
func (r *recent) take(now int64, most int) bool {
	r.advance(now / slot)
	sum := 0
	for _, n := range r.counts {
		sum += int(n)
	}
	n := &r.counts[r.last%slots]
	if sum >= most || int(*n) >= atOnce(most) {
		return false
	}
	*n++
	return true
}

// advance forgets the slots that are more than a second before a slot. A slot that is over stays over.
func (r *recent) advance(to int64) {
	if to-r.last >= slots {
		*r = recent{last: to}
	}
	for r.last < to {
		r.last++
		r.counts[r.last%slots] = 0
	}
}

// atOnce returns the number of events that may fall into one slot, of most in a second: a quarter, but of a few all. Chosen by us.
func atOnce(most int) int {
	const few = 10
	return max((most+3)/4, min(most, few))
}

// A Rate bounds events of the whole process. Any goroutine may use it. The zero value has no limit.
type Rate struct {
	most int // in any second; 0 = no limit. Immutable

	mu     sync.Mutex
	recent recent
	later  int64 // the time that the last refused event was given
}

// NewRate returns a limit of perSecond events in any second, a quarter of them in one tenth, or ten if that is more; 0 = no limit.
func NewRate(perSecond int) *Rate { return &Rate{most: perSecond} }

// Take counts an event at a time in nanoseconds and reports whether it is within the limit.
func (r *Rate) Take(now int64) bool {
	if r.most == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recent.take(now, r.most)
}

// Within returns the number of events that the limit allows in some time, in the long run.
func (r *Rate) Within(d time.Duration) int64 {
	return int64(r.most) * int64(d/time.Millisecond) / (1000 * slots / 10)
}

// laterMost bounds the wait of refused events, many of which do not come again. Chosen by us.
const laterMost = time.Minute

// Later returns the time after which an event that is refused now may come again, at least wait: refused events get one time after
// another, at the pace of the limit.
func (r *Rate) Later(now int64, wait time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later = max(r.later, now+int64(wait)) + int64(time.Second)/int64(max(r.most, 1))
	r.later = min(r.later, now+int64(max(wait, laterMost)))
	return time.Duration(r.later - now)
}
