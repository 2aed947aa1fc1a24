package sim

import (
	"time"

	"tickcast/broadcast/topics"
)

// A clock is the time of a world. It moves only between steps.
type clock struct {
	now    int64
	alarms []*alarm
}

// An alarm is a call at a time. It implements topics.Alarm.
type alarm struct {
	clock *clock
	call  func()
	at    int64 // 0 = not set
}

func (c *clock) Now() int64 { return c.now }

// AfterFunc is part of topics.Clock.
func (c *clock) AfterFunc(d time.Duration, f func()) topics.Alarm {
	a := &alarm{clock: c, call: f, at: c.now + int64(d)}
	c.alarms = append(c.alarms, a)
	return a
}

func (a *alarm) Reset(d time.Duration) bool {
	was := a.at != 0
	a.at = a.clock.now + int64(d)
	return was
}

// advance moves the time and rings the alarms that are due, the earliest first.
func (c *clock) advance(d time.Duration) {
	end := c.now + int64(d)
	for {
		var next *alarm
		for _, a := range c.alarms {
			if a.at != 0 && a.at <= end && (next == nil || a.at < next.at) {
				next = a
			}
		}
		if next == nil {
			break
		}
		c.now, next.at = max(c.now, next.at), 0
		next.call()
	}
	c.now = end
}
