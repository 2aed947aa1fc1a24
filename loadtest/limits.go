package loadtest

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// Limits is what this machine allows and how much of it is in use. A number of 0 is one that the kernel does not show;
// nothing is checked against it.
type Limits struct {
	// Of this process: RLIMIT_NOFILE, soft and hard. Go's runtime has raised the soft one as far as it goes.
	Descriptors, DescriptorsMax uint64

	// Of the whole machine.
	NrOpen            int64    // fs.nr_open: how far RLIMIT_NOFILE can be raised
	FileUsed, FileMax int64    // fs.file-nr: open files
	MemAvailable      int64    // bytes that can be had without swapping
	TCPMemPages       [3]int64 // net.ipv4.tcp_mem: low, pressure, max
	TCPMemUsed        int64    // pages

	MaxUserWatches int64 // fs.epoll.max_user_watches: descriptors in all epoll instances of one user

	// Of the network namespace.
	PortLow, PortHigh       int   // net.ipv4.ip_local_port_range, both inclusive
	ReservedPorts           int   // of that range, which the kernel does not give out
	Somaxconn               int   // net.core.somaxconn
	Conntrack, ConntrackMax int64 // tracked connections; 0, 0 if the kernel tracks none
}

// ReadLimits returns the limits of this process and of its machine. A figure that the kernel does not show is no error,
// one that cannot be read as a number is.
func ReadLimits() (Limits, error) {
	l, err := readLimits(proc)
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

// readLimits reads all but the descriptors of this process.
func readLimits(p procfs) (Limits, error) {
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
	if err := p.kilobytes("meminfo", map[string]*int64{"MemAvailable:": &l.MemAvailable}); err != nil {
		return Limits{}, err
	}
	tcp, err := p.sockets("net/sockstat", "TCP")
	l.TCPMemUsed = tcp["mem"]
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

// Processes returns how many processes it takes to hold conns connections under RLIMIT_NOFILE, at least one.
func (l Limits) Processes(conns int) int {
	each := 1 // not even that, but Check says so
	switch {
	case l.Descriptors == 0:
		return 1
	case l.Descriptors > spareDescriptors:
		each = int(min(l.Descriptors-spareDescriptors, math.MaxInt32))
	}
	return max(1, ceilDiv(conns, each))
}

// portsPerPair returns how many connections one source address is good for to one target: nine tenths of the ephemeral
// ports, since the kernel's search for a free one becomes slow, then fails, as they run out.
func (l Limits) portsPerPair() int {
	return max(1, (l.PortHigh-l.PortLow+1-l.ReservedPorts)*9/10)
}

// ceilDiv returns a/b, rounded up, for a that is not negative and b above 0.
func ceilDiv(a, b int) int { return (a + b - 1) / b }
