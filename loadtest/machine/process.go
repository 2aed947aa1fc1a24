package machine

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// maxPID is the kernel's PID_MAX_LIMIT.
const maxPID = 1 << 22

// ProcessCPU returns the CPU time of process pid, user and system together, of all its threads including ended ones. Its
// resolution is nanoseconds. The process may be any on this machine.
func ProcessCPU(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3): the clock of a whole process is its inverted id, shifted by three, with CPUCLOCK_SCHED.
	// Unlike /proc/PID/schedstat it counts running threads up to this moment.
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

// Memory is the memory of a process, in bytes. Memory of the kernel, such as that of sockets, is not part of it.
type Memory struct {
	RSS  int64 // resident: anonymous and file pages
	PSS  int64 // the same, with shared pages counted in proportion
	Anon int64 // anonymous pages: heap and stacks, the part that grows with connections
}

// ProcessMemory returns the memory of process pid. The kernel walks through the page tables of the process for it.
func ProcessMemory(pid int) (Memory, error) { return proc.processMemory(pid) }

func (p procDir) processMemory(pid int) (Memory, error) {
	var m procfs.ProcSMapsRollup
	f, err := procfs.NewFS(string(p))
	if err == nil {
		var process procfs.Proc
		if process, err = f.Proc(pid); err == nil {
			m, err = process.ProcSMapsRollup()
		}
	}
	if err == nil && m.Rss == 0 { // a kernel thread or a zombie
		err = os.ErrNotExist
	}
	if err != nil {
		return Memory{}, fmt.Errorf("loadtest: memory of process %d: %w", pid, err)
	}
	return Memory{RSS: int64(m.Rss), PSS: int64(m.Pss), Anon: int64(m.Anonymous)}, nil
}

// residentMemory returns the resident memory of process pid in bytes, from counters of the kernel. Reading them costs
// little, whatever the size of the process. They may lack pages that the CPUs have not yet added to them.
func (p procDir) residentMemory(pid int) (int64, error) {
	var size, pages int64
	if err := p.numbers(fmt.Sprintf("%d/statm", pid), &size, &pages); err != nil {
		return 0, err
	}
	if pages == 0 {
		return 0, fmt.Errorf("loadtest: memory of process %d: %w", pid, os.ErrNotExist)
	}
	return pages * int64(os.Getpagesize()), nil
}
