package machine

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listeners returns the processes on this machine that listen on TCP at one of the addresses, in rising order. Only root
// finds processes of other users. Processes in other PID namespaces are not found. Neither is an error.
//
// It reads the descriptors of each process up to the first listener, so it is best called before there are connections:
// a process that listens nowhere and holds 20,000 connections costs 20,000 calls of readlink(2).
func Listeners(addrs []netip.AddrPort) ([]int, error) {
	local, err := localAddrs()
	if err != nil {
		return nil, err
	}
	return proc.listeners(addrs, local)
}

// localAddrs returns the addresses of this machine's interfaces.
func localAddrs() (map[netip.Addr]bool, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("loadtest: read the addresses of this machine: %w", err)
	}
	local := make(map[netip.Addr]bool)
	for _, i := range interfaces {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			local[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return local, nil
}

// HostAddrs returns the addresses of this machine's interfaces from which other hosts can be reached.
func HostAddrs(v4 bool) (own []netip.Addr) {
	all, _ := net.InterfaceAddrs() // an error leaves the list empty
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == v4 && p.Addr().IsGlobalUnicast() {
			own = append(own, p.Addr())
		}
	}
	return own
}

// listeners is Listeners for the given addresses of this machine.
func (p procDir) listeners(addrs []netip.AddrPort, local map[netip.Addr]bool) ([]int, error) {
	inodes := make(map[string]bool)
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		sockets, err := p.listening(name)
		if err != nil {
			return nil, err
		}
		for _, s := range sockets {
			if slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return s.serves(a, local) }) {
				inodes["socket:["+s.inode+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return nil, fmt.Errorf("loadtest: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && p.hasSocket(pid, inodes) { // several processes may share an inherited socket
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// A listeningSocket is a line of /proc/net/tcp in state LISTEN.
type listeningSocket struct {
	addr  netip.AddrPort
	inode string
}

// serves reports whether a connection to a ends at s, given the addresses of this machine. A wildcard socket of IPv6 is
// taken to serve IPv4 too: /proc does not show IPV6_V6ONLY.
func (s listeningSocket) serves(a netip.AddrPort, local map[netip.Addr]bool) bool {
	to := a.Addr().Unmap().WithZone("")
	own := to.IsLoopback() || to.IsUnspecified() || local[to]
	if !own || a.Port() != s.addr.Port() {
		return false
	}
	at := s.addr.Addr()
	switch {
	case at.IsUnspecified():
		return at.Is6() || to.Is4()
	case to.IsUnspecified(): // connect(2) takes it for the loopback address
		return at.IsLoopback() && at.Is4() == to.Is4()
	}
	return at == to
}

// listening returns the listening sockets of net/tcp or net/tcp6.
func (p procDir) listening(name string) ([]listeningSocket, error) {
	f, err := os.Open(filepath.Join(string(p), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loadtest: %w", err)
	}
	defer f.Close()
	var sockets []listeningSocket
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		if fields[3] != "0A" { // TCP_LISTEN; the kernel lists these first, and there may be a million of the others
			break
		}
		addr, err := parseSocketAddr(fields[1])
		if err != nil {
			return nil, fmt.Errorf("loadtest: %s: %w", name, err)
		}
		sockets = append(sockets, listeningSocket{addr, fields[9]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("loadtest: %s: %w", name, err)
	}
	return sockets, nil
}

// parseSocketAddr parses an address such as 0100007F:1F90, 127.0.0.1:8080 on a little-endian machine: 32-bit words as they
// lie in memory, then the port as a number.
func parseSocketAddr(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	b, errAddr := hex.DecodeString(words)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if errAddr != nil || errPort != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address", s)
	}
	for w := b; len(w) > 0; w = w[4:] {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// hasSocket reports whether process pid has one of the sockets open. It stops at the first one, which is among the lowest
// descriptors of a server. A process that has ended or is not accessible has none.
func (p procDir) hasSocket(pid int, sockets map[string]bool) bool {
	path := filepath.Join(string(p), strconv.Itoa(pid), "fd")
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			if link, err := os.Readlink(filepath.Join(path, name)); err == nil && sockets[link] {
				return true
			}
		}
		if err != nil { // io.EOF, or the process has ended
			return false
		}
	}
}
