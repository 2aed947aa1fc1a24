package eventloop

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTicksRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		0: 0, 1: 1, time.Millisecond: 1, tick: 1, tick + 1: 2, 2 * tick: 2, time.Second: 10, 75 * time.Second: 750,
	} {
		if got := ticks(d); got != want {
			t.Errorf("%v: %d ticks, want %d", d, got, want)
		}
	}
}

// slots returns the connections in a list of the wheel, and checks its links.
func (w *wheel) slots(t *testing.T, conns *conns, bucket uint16) (slots []uint32) {
	t.Helper()
	before := inBucket | uint32(bucket)
	for at := w.heads[bucket]; at != 0; {
		c := conns.At(at - 1)
		if c.prev != before || c.slot != at-1 {
			t.Fatalf("bucket %d: %+v behind %d", bucket, *c, before)
		}
		slots = append(slots, c.slot)
		before, at = at, c.next
	}
	return slots
}

// The wheel against a map: at every tick exactly the timers that are due have expired.
func TestWheelAgainstAModel(t *testing.T) {
	const timers = 200
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		l, _, _ := bareLoop(t, timers)
		w := &l.wheel
		w.now = 1_000_000
		model := map[uint32]uint32{} // due by slot
		for step := range 2000 {
			slot := random.Uint32N(timers)
			c := l.conns.At(slot)
			switch op := random.IntN(10); {
			case op < 5:
				// From a turn ago to beyond three turns from now, with the edges of a turn more often.
				due := w.now - wheelSize + random.Uint32N(4*wheelSize)
				if random.IntN(4) == 0 {
					due = w.now + wheelSize - 1 + random.Uint32N(3)
				}
				l.wheel.schedule(c, due)
				model[slot] = max(due, w.now+1)
			case op < 7:
				l.wheel.remove(c)
				delete(model, slot)
			case op < 8: // run the expired ones
				for at := w.heads[expired]; at != 0; at = w.heads[expired] {
					l.wheel.remove(l.conns.At(at - 1))
				}
				for slot, due := range model {
					if due <= w.now {
						delete(model, slot)
					}
				}
			default:
				by := uint32(1)
				if random.IntN(20) == 0 { // the loop stood still for up to three turns
					by = random.Uint32N(3 * wheelSize)
				}
				l.wheel.advance(w.now + by)
			}
			var want []uint32
			for slot, due := range model {
				if due <= w.now {
					want = append(want, slot)
				}
			}
			got := w.slots(t, &l.conns, expired)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: expired %v, want %v", seed, step, got, want)
			}
		}
		left := 0
		for bucket := range uint16(wheelSize + 1) {
			left += len(w.slots(t, &l.conns, bucket))
		}
		if left != len(model) {
			t.Errorf("seed %d: %d timers are in the wheel, want %d", seed, left, len(model))
		}
	}
}

func TestWheelStandsStillForMoreThanATurn(t *testing.T) {
	l, _, _ := bareLoop(t, 3)
	w := &l.wheel
	w.now = 7
	for slot, due := range []uint32{8, 7 + 3*wheelSize, 7 + 10*wheelSize} {
		l.wheel.schedule(l.conns.At(uint32(slot)), due)
	}
	l.wheel.advance(7 + 5*wheelSize)
	if got := w.slots(t, &l.conns, expired); w.now != 7+5*wheelSize || len(got) != 2 || slices.Contains(got, 2) {
		t.Errorf("at %d: %v", w.now, got)
	}
	l.wheel.advance(7 + 10*wheelSize - 1)
	if got := w.slots(t, &l.conns, expired); len(got) != 2 {
		t.Errorf("too early: %v", got)
	}
	l.wheel.advance(7 + 10*wheelSize)
	if got := w.slots(t, &l.conns, expired); len(got) != 3 {
		t.Errorf("too late: %v", got)
	}
}

// Timers are run in slices: those that are left stay expired, and each is run once.
func TestTimersFireInSlices(t *testing.T) {
	const timers = 1000
	l, _, _ := bareLoop(t, timers)
	for slot := range uint32(timers) {
		l.wheel.schedule(l.conns.At(slot), 1)
	}
	l.now = 1
	l.wheel.advance(1)
	slices := 1
	for over := time.Now().Add(-time.Second); l.runExpired(over); slices++ {
		if slices > timers {
			t.Fatal("no end")
		}
	}
	if slices < timers/32 || len(l.wheel.slots(t, &l.conns, expired)) != 0 {
		t.Errorf("%d slices", slices)
	}
	scheduled := l.wheel.slots(t, &l.conns, 1)
	for slot := range uint32(timers) { // keepAlive had no deadline to apply, and looks again in a turn
		if c := l.conns.At(slot); c.due != 1+wheelSize || len(scheduled) != timers {
			t.Fatalf("%+v", *c)
		}
	}
}

// A deadline of zero never comes.
func TestZeroDeadlinesNeverCome(t *testing.T) {
	l, _, _ := bareLoop(t, 1)
	c := l.conns.At(0)
	l.wheel.schedule(c, 1)
	frames := l.frames
	for range 5 * wheelSize {
		l.now++
		l.wheel.advance(l.now)
		l.expireTimers()
	}
	if c.state != stateOpen || l.pings != 0 || l.frames != frames {
		t.Errorf("%+v, %d pings, %d frames", *c, l.pings, l.frames-frames)
	}
}
