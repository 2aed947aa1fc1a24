package loadtest

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Servers are processes on this machine, by their ids, whose costs are added up. See [Listeners].
type Servers []int

// Sample returns the resident memory in bytes and the CPU time so far of all processes together. It costs the same
// whatever their size, so it may be called each second; for that, the memory is good to some hundred KiB a process. An
// error says which processes could not be read; the sums are those of the others then.
func (s Servers) Sample() (rss int64, cpu time.Duration, err error) {
	var errs []error
	for _, pid := range s {
		r, errRSS := residentMemory(proc, pid)
		c, errCPU := ProcessCPU(pid)
		if err := errors.Join(errRSS, errCPU); err != nil {
			errs = append(errs, err)
			continue
		}
		rss, cpu = rss+r, cpu+c
	}
	return rss, cpu, errors.Join(errs...)
}

// Memory returns the memory of all processes together, exactly. The kernel walks through their page tables for it, which
// takes the longer the more they hold: not for each second. Errors are as with Sample.
func (s Servers) Memory() (m Memory, err error) {
	var errs []error
	for _, pid := range s {
		one, err := ProcessMemory(pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.RSS, m.PSS, m.Anon = m.RSS+one.RSS, m.PSS+one.PSS, m.Anon+one.Anon
	}
	return m, errors.Join(errs...)
}

// residentMemory returns the resident memory of process pid in bytes, from the kernel's counters. Unlike smaps_rollup
// they are read at once; they may lack what the CPUs have not yet added to them.
func residentMemory(p procfs, pid int) (int64, error) {
	var size, pages int64
	name := fmt.Sprintf("%d/statm", pid)
	if err := p.numbers(name, &size, &pages); err != nil {
		return 0, err
	}
	if pages == 0 {
		return 0, fmt.Errorf("loadtest: memory of process %d: %w", pid, os.ErrNotExist)
	}
	return pages * int64(os.Getpagesize()), nil
}
