package machine

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// SpareDescriptors are reserved for the files of a process besides its connections.
const SpareDescriptors = 64

// Limits are the limits of this machine, and the part of them that is in use. A limit of 0 is unknown and never
// exceeded.
type Limits struct {
	// This process: RLIMIT_NOFILE, soft and hard. Go's runtime has raised the soft one to the hard one.
	Descriptors, DescriptorsMax uint64

	// The whole machine.
	NrOpen            int64    // fs.nr_open: how far RLIMIT_NOFILE can be raised
	FileUsed, FileMax int64    // fs.file-nr: open files
	MemAvailable      int64    // bytes that can be had without swapping
	TCPMemPages       [3]int64 // net.ipv4.tcp_mem: low, pressure, max
	TCPMemUsed        int64    // pages

	MaxUserWatches int64 // fs.epoll.max_user_watches: descriptors in all epoll instances of one user

	// The network namespace.
	PortLow, PortHigh       int   // net.ipv4.ip_local_port_range, both inclusive
	ReservedPorts           int   // ports of that range that the kernel does not give out
	Somaxconn               int   // net.core.somaxconn
	Conntrack, ConntrackMax int64 // tracked connections; 0, 0 if the kernel tracks none
}

// ReadLimits returns the limits of this process and of its machine.
func ReadLimits() (Limits, error) {
	l, err := proc.limits()
	if err != nil {
		return Limits{}, err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return Limits{}, fmt.Errorf("loadtest: read RLIMIT_NOFILE: %w", err)
	}
	l.Descriptors, l.DescriptorsMax = files.Cur, files.Max
	return l, nil
}

// limits reads all but the descriptors of this process.
func (p procDir) limits() (Limits, error) {
	var l Limits
	var low, high, backlog, unused int64 = 32768, 60999, 0, 0 // the kernel's default range
	for _, file := range []struct {
		name string
		into []*int64
	}{
		{"sys/fs/nr_open", []*int64{&l.NrOpen}},
		{"sys/fs/file-nr", []*int64{&l.FileUsed, &unused, &l.FileMax}},
		{"sys/fs/epoll/max_user_watches", []*int64{&l.MaxUserWatches}},
		{"sys/net/ipv4/tcp_mem", []*int64{&l.TCPMemPages[0], &l.TCPMemPages[1], &l.TCPMemPages[2]}},
		{"sys/net/ipv4/ip_local_port_range", []*int64{&low, &high}},
		{"sys/net/core/somaxconn", []*int64{&backlog}},
		{"sys/net/netfilter/nf_conntrack_count", []*int64{&l.Conntrack}},
		{"sys/net/netfilter/nf_conntrack_max", []*int64{&l.ConntrackMax}},
	} {
		if err := p.numbers(file.name, file.into...); err != nil {
			return Limits{}, err
		}
	}
	l.PortLow, l.PortHigh, l.Somaxconn = int(low), int(high), int(backlog)
	reserved, err := p.read("sys/net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return Limits{}, err
	}
	if l.ReservedPorts, err = countPorts(reserved, l.PortLow, l.PortHigh); err != nil {
		return Limits{}, err
	}
	memory, err := p.meminfo()
	if err != nil {
		return Limits{}, err
	}
	l.MemAvailable = bytesOf(memory.MemAvailableBytes)
	_, l.TCPMemUsed, err = p.tcpSockets("TCP")
	return l, err
}

// countPorts counts the ports of a list such as "8080,9148-9200" that lie between low and high. The kernel writes the
// list without overlaps.
func countPorts(list []byte, low, high int) (n int, err error) {
	for part := range bytes.SplitSeq(bytes.TrimSpace(list), []byte(",")) {
		if len(part) == 0 {
			continue
		}
		first, last, isRange := bytes.Cut(part, []byte("-"))
		if !isRange {
			last = first
		}
		a, errA := strconv.Atoi(string(first))
		b, errB := strconv.Atoi(string(last))
		if errA != nil || errB != nil {
			return 0, fmt.Errorf("loadtest: ip_local_reserved_ports: %q is not a range of ports", part)
		}
		n += max(0, min(b, high)-max(a, low)+1)
	}
	return n, nil
}

// Processes returns the number of processes, at least one, that can hold conns connections under RLIMIT_NOFILE.
func (l Limits) Processes(conns int) int {
	each := 1 // if there is no room even for one, Check reports it
	switch {
	case l.Descriptors == 0:
		return 1
	case l.Descriptors > SpareDescriptors:
		each = int(min(l.Descriptors-SpareDescriptors, math.MaxInt32))
	}
	return max(1, CeilDiv(conns, each))
}

// PortsPerPair returns the number of connections that one source address can have to one target: nine tenths of the
// ephemeral ports. As they run out, the kernel's search for a free one becomes slow and then fails.
func (l Limits) PortsPerPair() int {
	return max(1, (l.PortHigh-l.PortLow+1-l.ReservedPorts)*9/10)
}

// CeilDiv returns a/b, rounded up, for a that is not negative and b above 0.
func CeilDiv(a, b int) int { return (a + b - 1) / b }
