package machine

import (
	"errors"
	"time"
)

// Processes are processes of this machine, by their ids. Their costs are added up. See [Listeners].
type Processes []int

// Sample returns the resident memory in bytes and the CPU time so far of all processes together. Its cost does not depend
// on their size, so it may be called each second. The price is precision: the memory of each process is good to some
// hundred KiB. The error names the processes that could not be read; the sums are those of the others.
func (s Processes) Sample() (rss int64, cpu time.Duration, err error) {
	var errs []error
	for _, pid := range s {
		r, errRSS := proc.residentMemory(pid)
		c, errCPU := ProcessCPU(pid)
		if err := errors.Join(errRSS, errCPU); err != nil {
			errs = append(errs, err)
			continue
		}
		rss, cpu = rss+r, cpu+c
	}
	return rss, cpu, errors.Join(errs...)
}

// Memory returns the exact memory of all processes together, without PSS. Its time grows with their memory, so it is not for
// each second. Errors are as with Sample.
func (s Processes) Memory() (m Memory, err error) {
	var errs []error
	for _, pid := range s {
		one, err := ProcessMemory(pid)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.RSS, m.Anon = m.RSS+one.RSS, m.Anon+one.Anon
	}
	return m, errors.Join(errs...)
}
