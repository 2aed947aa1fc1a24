package broadcast

import (
	"time"

	"tickcast/broadcast/topics"
)

// An alarm wakes a shard at a time of the hub's clock. It rings for the earliest time that was set.
type alarm struct {
	hub   *topics.Hub
	wake  func()
	timer topics.Alarm // nil before the first use
	at    int64        // 0 = not set
}

// set rings the alarm at a time, unless it rings earlier.
func (a *alarm) set(at int64) {
	if a.at != 0 && a.at <= at {
		return
	}
	a.at = at
	wait := time.Duration(max(at-a.hub.Now(), 0))
	if a.timer == nil {
		a.timer = a.hub.AfterFunc(wait, a.wake)
	} else {
		a.timer.Reset(wait)
	}
}

// due reports whether the alarm should have rung by now.
func (a *alarm) due(now int64) bool { return a.at != 0 && a.at <= now }

// clearIfDue reports whether the alarm was due by now, and unsets it then.
func (a *alarm) clearIfDue(now int64) bool {
	if !a.due(now) {
		return false
	}
	a.at = 0
	return true
}
