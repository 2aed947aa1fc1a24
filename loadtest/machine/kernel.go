package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// KernelMemory is the cost of connections outside of processes. A figure that the kernel does not show is 0.
type KernelMemory struct {
	Slab         int64 // bytes of kernel objects: sockets, files, inodes and everything else
	MemAvailable int64 // bytes
	SockMem      int64 // bytes of TCP's buffers, on the whole machine
	Sockets      int64 // TCP sockets of this network namespace, IPv4 and IPv6, without those in TIME_WAIT
	Conntrack    int64 // tracked connections
	Files        int64 // open files, on the whole machine
}

// ReadKernelMemory returns the figures of this moment. It costs a few small reads, whatever the number of sockets.
func ReadKernelMemory() (KernelMemory, error) { return proc.kernelMemory() }

func (p procDir) kernelMemory() (KernelMemory, error) {
	var k KernelMemory
	memory, errMemory := p.meminfo()
	four, pages, errFour := p.tcpSockets("TCP")
	six, _, errSix := p.tcpSockets("TCP6")
	if err := errors.Join(errMemory, errFour, errSix,
		p.numbers("sys/net/netfilter/nf_conntrack_count", &k.Conntrack),
		p.numbers("sys/fs/file-nr", &k.Files),
	); err != nil {
		return KernelMemory{}, err
	}
	k.Slab, k.MemAvailable = bytesOf(memory.SlabBytes), bytesOf(memory.MemAvailableBytes)
	k.Sockets, k.SockMem = four+six, pages*int64(os.Getpagesize())
	return k, nil
}

// CPUTime returns the busy time and the total time of all cores together since the machine started, in steps of 10 ms.
// Time that a hypervisor gave to others counts as busy: this machine did not have it.
func CPUTime() (busy, total time.Duration, err error) { return proc.cpuTime() }

func (p procDir) cpuTime() (busy, total time.Duration, err error) {
	const tick = time.Second / 100 // USER_HZ
	b, err := p.read("stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return 0, 0, errors.New("loadtest: stat has no line of all CPUs")
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
