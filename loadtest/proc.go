package loadtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxPID is the kernel's PID_MAX_LIMIT.
const maxPID = 1 << 22

// ProcessCPU returns the CPU time that process pid has used, user and system together, all threads including ended
// ones, in nanoseconds resolution. The process may be any on this machine.
func ProcessCPU(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3): the clock of a whole process is its inverted id, shifted by three, with CPUCLOCK_SCHED.
	// Unlike /proc/PID/schedstat it counts the threads that are running right now up to this moment.
	const cpuclockSched = 2
	var ts unix.Timespec
	if pid < 1 || pid > maxPID { // other numbers are other clocks
		return 0, fmt.Errorf("loadtest: CPU clock of process %d: %w", pid, unix.ESRCH)
	}
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return 0, fmt.Errorf("loadtest: CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS  int64 // resident: anonymous and file pages
	PSS  int64 // the same, with shared pages counted in proportion
	Anon int64 // anonymous pages: heap and stacks, the part that grows with connections
}

// ProcessMemory returns the memory of process pid. Kernel memory, such as that of sockets, is in none of the numbers.
func ProcessMemory(pid int) (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("loadtest: memory of process %d: %w", pid, err)
	}
	return parseMemory(b)
}

// parseMemory reads the lines "Name:   123 kB" of smaps_rollup.
func parseMemory(b []byte) (Memory, error) {
	var m Memory
	found := 0
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) != 3 {
			continue
		}
		var into *int64
		switch string(f[0]) {
		case "Rss:":
			into = &m.RSS
		case "Pss:":
			into = &m.PSS
		case "Anonymous:":
			into = &m.Anon
		default:
			continue
		}
		kb, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("loadtest: smaps_rollup: %w", err)
		}
		*into = kb << 10
		found++
	}
	if found != 3 {
		return Memory{}, fmt.Errorf("loadtest: smaps_rollup has %d of 3 lines", found)
	}
	return m, nil
}
