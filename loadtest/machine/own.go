package machine

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Usage holds the resources that a process uses.
type Usage struct {
	CPU     time.Duration // user and system, since its start
	RSS     int64         // bytes
	Private int64         // bytes of RSS, without pages of the program, which its processes share
}

// Add makes u the sum of itself and o.
func (u *Usage) Add(o Usage) {
	u.CPU += o.CPU
	u.RSS += o.RSS
	u.Private += o.Private
}

// OwnUsage returns the usage of this process. Memory is 0 if the kernel does not show it.
func OwnUsage() Usage {
	u := Usage{CPU: ownCPU()}
	var size, resident, shared int64
	if proc.numbers("self/statm", &size, &resident, &shared) == nil {
		page := int64(os.Getpagesize())
		u.RSS, u.Private = resident*page, (resident-shared)*page
	}
	return u
}

// ownCPU returns the user and system time of this process.
func ownCPU() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail with a valid argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Monotime returns CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share.
func Monotime() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for a clock that every kernel has
	return ts.Nano()
}
