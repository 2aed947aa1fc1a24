package loadtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// KernelMemory is what connections cost outside of processes. A figure that the kernel does not show is 0.
type KernelMemory struct {
	Slab         int64 // bytes of kernel objects: sockets, files, inodes and everything else
	MemAvailable int64 // bytes
	SockMem      int64 // bytes of TCP's buffers, on the whole machine
	Sockets      int64 // TCP sockets of this network namespace, IPv4 and IPv6, without those in TIME_WAIT
	Conntrack    int64 // tracked connections
	Files        int64 // open files, on the whole machine
}

// ReadKernelMemory returns the figures of this moment. It costs a few small reads whatever the number of sockets.
func ReadKernelMemory() (KernelMemory, error) { return readKernelMemory(proc) }

func readKernelMemory(p procfs) (KernelMemory, error) {
	var k KernelMemory
	if err := errors.Join(
		p.kilobytes("meminfo", map[string]*int64{"Slab:": &k.Slab, "MemAvailable:": &k.MemAvailable}),
		p.numbers("sys/net/netfilter/nf_conntrack_count", &k.Conntrack),
		p.numbers("sys/fs/file-nr", &k.Files),
	); err != nil {
		return KernelMemory{}, err
	}
	four, err := p.sockets("net/sockstat", "TCP")
	if err != nil {
		return KernelMemory{}, err
	}
	six, err := p.sockets("net/sockstat6", "TCP6")
	if err != nil {
		return KernelMemory{}, err
	}
	k.SockMem = four["mem"] * int64(os.Getpagesize())
	k.Sockets = four["inuse"] + six["inuse"]
	return k, nil
}

// MachineCPU returns the time that all cores together have been busy and have been there since the machine started, in
// steps of 10 ms. Time that a hypervisor gave to others counts as busy: this machine did not have it.
func MachineCPU() (busy, total time.Duration, err error) { return machineCPU(proc) }

func machineCPU(p procfs) (busy, total time.Duration, err error) {
	const tick = time.Second / 100 // USER_HZ
	b, err := p.read("stat")
	if err != nil {
		return 0, 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) < 9 || string(f[0]) != "cpu" {
			continue
		}
		// user, nice, system, idle, iowait, irq, softirq, steal; guest and guest_nice are in user and nice
		for i, figure := range f[1:9] {
			n, err := parseFigure(figure)
			if err != nil {
				return 0, 0, fmt.Errorf("loadtest: stat: %w", err)
			}
			total += time.Duration(n) * tick
			if idle := i == 3 || i == 4; !idle {
				busy += time.Duration(n) * tick
			}
		}
		return busy, total, nil
	}
	return 0, 0, errors.New("loadtest: stat has no line of all CPUs")
}
