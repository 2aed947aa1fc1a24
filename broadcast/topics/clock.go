package topics

import "time"

// A Clock is the time of a hub and of its shards. The simulator hands in one of its own.
type Clock interface {
	// Now returns monotonic nanoseconds. Any goroutine may call it.
	Now() int64
	// AfterFunc calls f after d, on a goroutine of its own or on the simulator's.
	AfterFunc(d time.Duration, f func()) Alarm
}

// An Alarm is a call of Clock.AfterFunc that is set again, as by time.Timer.
type Alarm interface{ Reset(d time.Duration) bool }

// A systemClock is the time since the start of a hub.
type systemClock struct{ started time.Time }

func (c systemClock) Now() int64 { return int64(time.Since(c.started)) }

func (c systemClock) AfterFunc(d time.Duration, f func()) Alarm { return time.AfterFunc(d, f) }
