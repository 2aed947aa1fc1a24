package machine

import (
	"fmt"
	"net/netip"
)

// Needs that the limits do not include.
const (
	// kernelPerEnd is about the kernel's cost of an idle TCP socket with its file, inode and epoll entry, in bytes.
	kernelPerEnd = 4 << 10
	// testerPerConn is the load tester's own cost of a connection, in bytes.
	testerPerConn = 200
	// machineSlack is reserved for everything else on the machine, where a limit is machine-wide.
	machineSlack = 4096
	// minBacklog is the accept queue that a ramp of some thousand connections a second needs.
	minBacklog = 4096
	// The widest range of ephemeral ports without the well-known ones.
	wideLow, wideHigh = 1024, 65535
)

// A Need describes the connections that a run will open.
type Need struct {
	Conns     int
	Processes int              // that share the connections; 0 = as many as needed
	Targets   []netip.AddrPort // the connections are dealt out evenly to them
	Sources   []netip.Addr     // local addresses; empty = the kernel's choice, on IPv4 loopback as many as needed
	// LocalServers says that the servers are on this machine, so that it has both ends of each connection.
	LocalServers bool
}

// ends returns how many sockets the connections have on this machine.
func (n Need) ends() int64 {
	if n.LocalServers {
		return 2 * int64(n.Conns)
	}
	return int64(n.Conns)
}

// A Shortage is a limit that a run would exceed.
type Shortage struct {
	Text  string // for people: "1000000 connections need ..., ..."
	Fix   string // a command where there is one
	Fatal bool   // the run cannot succeed; otherwise only its figures may suffer
}

// Check returns the limits that n would exceed, as far as they are known. The limits of the servers' own processes are
// not among them.
func (l Limits) Check(n Need) []Shortage {
	var short []Shortage
	for _, check := range []func(Limits, Need) (Shortage, bool){
		Limits.checkDescriptors,
		Limits.checkPorts,
		Limits.checkFiles,
		Limits.checkWatches,
		Limits.checkConntrack,
		Limits.checkMemory,
		Limits.checkTCPMemory,
		Limits.checkBacklog,
	} {
		if s, ok := check(l, n); ok {
			short = append(short, s)
		}
	}
	return short
}

// checkDescriptors compares RLIMIT_NOFILE with the sockets of each process.
func (l Limits) checkDescriptors(n Need) (Shortage, bool) {
	processes, each := n.Processes, uint64(SpareDescriptors+1)
	if processes > 0 {
		each = uint64(CeilDiv(n.Conns, processes)) + SpareDescriptors
	}
	if l.Descriptors == 0 || each <= l.Descriptors {
		return Shortage{}, false
	}
	fix := fmt.Sprintf("ulimit -n %d", each)
	switch {
	case l.NrOpen > 0 && each > uint64(l.NrOpen):
		fix = fmt.Sprintf("sysctl -w fs.nr_open=%d && %s # as root", each, fix)
	case each > l.DescriptorsMax:
		fix += " # as root"
	}
	return Shortage{
		Text:  fmt.Sprintf("a process needs %d file descriptors, RLIMIT_NOFILE is %d", each, l.Descriptors),
		Fix:   fix,
		Fatal: true,
	}, true
}

// checkPorts finds a target for whose connections the ports of the source addresses do not suffice. If there are several,
// it returns the one that lacks most.
func (l Limits) checkPorts(n Need) (worst Shortage, short bool) {
	most := 0
	share := countTargets(n.Targets)
	for _, target := range n.Targets {
		target = unmapped(target)
		have := sourcesFor(target.Addr(), n.Sources)
		if len(n.Sources) == 0 && target.Addr().Is4() && target.Addr().IsLoopback() {
			continue // 127.0.0.2 and its successors are there
		}
		conns := CeilDiv(n.Conns*share[target], len(n.Targets))
		need := CeilDiv(conns, l.PortsPerPair())
		if need-have <= most {
			continue
		}
		most, short = need-have, true
		worst = Shortage{
			Text: fmt.Sprintf("%d connections to %v need %d source addresses of %d ports, there are %d",
				conns, target, need, l.PortsPerPair(), have),
			Fix:   l.portsFix(target.Addr(), conns, have),
			Fatal: true,
		}
	}
	return worst, short
}

// countTargets returns how often each target is in the list. That is its share of the connections.
func countTargets(targets []netip.AddrPort) map[netip.AddrPort]int {
	counts := make(map[netip.AddrPort]int)
	for _, t := range targets {
		counts[unmapped(t)]++
	}
	return counts
}

// unmapped returns a with an IPv4-mapped IPv6 address as the IPv4 address.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// sourcesFor counts the different addresses from which target can be reached. Without sources it is one, which the kernel
// chooses.
func sourcesFor(target netip.Addr, sources []netip.Addr) int {
	if len(sources) == 0 {
		return 1
	}
	seen := make(map[netip.Addr]bool)
	for _, a := range sources {
		if a = a.Unmap(); a.Is4() == target.Is4() {
			seen[a] = true
		}
	}
	return len(seen)
}

// portsFix returns the advice that makes conns connections possible to a target with the given number of sources.
func (l Limits) portsFix(target netip.Addr, conns, sources int) string {
	wide := l
	wide.PortLow, wide.PortHigh = min(l.PortLow, wideLow), max(l.PortHigh, wideHigh)
	widen := fmt.Sprintf(`sysctl -w net.ipv4.ip_local_port_range="%d %d"`, wide.PortLow, wide.PortHigh)
	need := CeilDiv(conns, wide.PortsPerPair())
	switch {
	case need <= sources:
		return widen
	case target.Is4() && target.IsLoopback():
		return fmt.Sprintf("%s, and %d source addresses, such as 127.0.0.2 and those that follow", widen, need)
	default:
		return fmt.Sprintf("%s, and %d more source addresses: ip address add ADDRESS dev DEVICE", widen, need-sources)
	}
}

// checkFiles compares with fs.file-max. Processes of the superuser may exceed it, but servers seldom run as superuser.
func (l Limits) checkFiles(n Need) (Shortage, bool) {
	processes := n.Processes
	if processes == 0 {
		processes = l.Processes(n.Conns)
	}
	need := n.ends() + int64(processes)*SpareDescriptors + machineSlack
	if l.FileMax == 0 || need <= l.FileMax-l.FileUsed {
		return Shortage{}, false
	}
	return Shortage{
		Text: fmt.Sprintf("%d sockets on this machine need %d open files, fs.file-max is %d, of which %d are in use",
			n.ends(), need, l.FileMax, l.FileUsed),
		Fix:   fmt.Sprintf("sysctl -w fs.file-max=%d", need+l.FileUsed),
		Fatal: true,
	}, true
}

// checkWatches compares with the number of descriptors that one user may have in epoll instances. If it suffices for the
// load tester alone, the shortage is not fatal, since the servers may belong to another user.
func (l Limits) checkWatches(n Need) (Shortage, bool) {
	need := n.ends() + machineSlack
	if l.MaxUserWatches == 0 || need <= l.MaxUserWatches {
		return Shortage{}, false
	}
	return Shortage{
		Text: fmt.Sprintf("%d sockets need as many epoll watches of a user, fs.epoll.max_user_watches is %d",
			n.ends(), l.MaxUserWatches),
		Fix:   fmt.Sprintf("sysctl -w fs.epoll.max_user_watches=%d", need),
		Fatal: int64(n.Conns) > l.MaxUserWatches,
	}, true
}

// checkConntrack compares with the table of tracked connections, in which a connection on loopback is one entry too. An
// empty table before the run is not fatal: the kernel could track, but most likely has no rule for it.
func (l Limits) checkConntrack(n Need) (Shortage, bool) {
	need := l.Conntrack + int64(n.Conns) + machineSlack
	if l.ConntrackMax == 0 || need <= l.ConntrackMax {
		return Shortage{}, false
	}
	return Shortage{
		Text: fmt.Sprintf("%d connections are to be tracked, net.netfilter.nf_conntrack_max is %d, of which %d are in use",
			n.Conns, l.ConntrackMax, l.Conntrack),
		Fix:   fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", need),
		Fatal: l.Conntrack > 0,
	}, true
}

// checkMemory compares with the memory of the sockets and of the load tester. The servers' processes need more, so a need
// near the limit is a warning already.
func (l Limits) checkMemory(n Need) (Shortage, bool) {
	need := n.ends()*kernelPerEnd + int64(n.Conns)*testerPerConn
	if l.MemAvailable == 0 || need <= l.MemAvailable {
		return Shortage{}, false
	}
	fit := l.MemAvailable / (need / int64(n.Conns))
	return Shortage{
		Text: fmt.Sprintf("%d connections take about %d MiB of the kernel's and the load tester's memory, %d MiB are available",
			n.Conns, need>>20, l.MemAvailable>>20),
		Fix:   fmt.Sprintf("more memory, or at most %d connections", fit),
		Fatal: need/2 > l.MemAvailable,
	}, true
}

// checkTCPMemory compares with the pressure limit of TCP's buffers. An idle socket has no buffer, a socket with a queued
// message has one page at least. So the need is one page for each connection, as if every client were behind by a message.
func (l Limits) checkTCPMemory(n Need) (Shortage, bool) {
	need := l.TCPMemUsed + int64(n.Conns)
	if l.TCPMemPages[1] == 0 || need <= l.TCPMemPages[1] {
		return Shortage{}, false
	}
	raised := [3]int64{need * 3 / 4, need, need * 3 / 2}
	for i := range raised {
		raised[i] = max(raised[i], l.TCPMemPages[i])
	}
	return Shortage{
		Text: fmt.Sprintf("a message queued on each of %d connections makes %d pages of buffers, net.ipv4.tcp_mem calls %d pressure",
			n.Conns, need, l.TCPMemPages[1]),
		Fix: fmt.Sprintf(`sysctl -w net.ipv4.tcp_mem="%d %d %d"`, raised[0], raised[1], raised[2]),
	}, true
}

// checkBacklog compares with the longest accept queue of servers on this machine.
func (l Limits) checkBacklog(n Need) (Shortage, bool) {
	if !n.LocalServers || l.Somaxconn == 0 || l.Somaxconn >= min(minBacklog, n.Conns) {
		return Shortage{}, false
	}
	return Shortage{
		Text: fmt.Sprintf("a server's accept queue holds %d connections at most (net.core.somaxconn)", l.Somaxconn),
		Fix:  fmt.Sprintf("sysctl -w net.core.somaxconn=%d # before the servers start", minBacklog),
	}, true
}
