package machine

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestListenersHere(t *testing.T) {
	for _, c := range []struct{ network, listen, host string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp", "[::]:0", "127.0.0.1"}, // one socket for both families
		{"tcp", "[::]:0", "::1"},
		{"tcp6", "[::1]:0", "::1"},
	} {
		ln, err := net.Listen(c.network, c.listen)
		if err != nil && c.listen[0] == '[' {
			t.Logf("no IPv6: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		port := uint16(ln.Addr().(*net.TCPAddr).Port)
		at := netip.AddrPortFrom(netip.MustParseAddr(c.host), port)
		if pids, err := Listeners([]netip.AddrPort{at}); err != nil || !slices.Contains(pids, os.Getpid()) {
			t.Errorf("%s for %v: %v, %v without %d", c.listen, at, pids, err, os.Getpid())
		}
		elsewhere := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)
		if pids, err := Listeners([]netip.AddrPort{elsewhere}); err != nil || len(pids) > 0 {
			t.Errorf("%v is of another machine, but %v, %v", elsewhere, pids, err)
		}
		ln.Close()
		if pids, err := Listeners([]netip.AddrPort{at}); err != nil || slices.Contains(pids, os.Getpid()) {
			t.Errorf("%v is closed, but %v, %v", at, pids, err)
		}
	}
}

// linkSockets gives process pid descriptors.
func linkSockets(t *testing.T, p procDir, pid string, links ...string) {
	t.Helper()
	dir := filepath.Join(string(p), pid, "fd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, link := range links {
		if err := os.Symlink(link, filepath.Join(dir, string(rune('3'+i)))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListeners(t *testing.T) {
	const rest = "00:00000000 00000000     0        0"
	p := writeProc(t, map[string]string{
		"net/tcp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
			"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 " + rest + " 101 1 0 100 0 0 10 0\n" +
			"   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 " + rest + " 102 1 0 100 0 0 10 0\n" +
			"   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 " + rest + " 103 1 0 100 0 0 10 0\n" +
			"   3: 0100007F:1F90 0100007F:9999 01 00000000:00000000 " + rest + " 104 1 0 100 0 0 10 0\n",
		"10/fd/0":   "", // no link
		"self/stat": "",
		"20/stat":   "", // ended: no fd
	})
	linkSockets(t, p, "9", "/dev/null", "socket:[101]")
	linkSockets(t, p, "100", "socket:[104]", "socket:[102]", "socket:[101]")
	linkSockets(t, p, "50", "socket:[103]", "socket:[104]", "pipe:[101]")
	pids, err := p.listeners(addrPorts("127.0.0.1:8080"), nil)
	if err != nil || !slices.Equal(pids, []int{9, 100}) {
		t.Errorf("%v, %v", pids, err)
	}
	if pids, err := p.listeners(addrPorts("127.0.0.1:8082"), nil); err != nil || len(pids) > 0 {
		t.Errorf("%v, %v", pids, err)
	}
	bad := writeProc(t, map[string]string{"net/tcp6": "0: 00:1F90 00:0 0A 0:0 " + rest + " 101\n"})
	if pids, err := bad.listeners(addrPorts("127.0.0.1:8080"), nil); err == nil {
		t.Errorf("%v of a bad address", pids)
	}
}

func TestSocketServes(t *testing.T) {
	local := map[netip.Addr]bool{netip.MustParseAddr("10.0.0.1"): true, netip.MustParseAddr("fd00::1"): true}
	for _, c := range []struct {
		listen, target string
		want           bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"10.0.0.1:80", "0.0.0.0:80", false},
		{"[::1]:80", "0.0.0.0:80", false},
		{"0.0.0.0:80", "127.0.0.9:80", true},
		{"0.0.0.0:80", "10.0.0.1:80", true},
		{"0.0.0.0:80", "10.0.0.2:80", false}, // another machine
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::]:80", "[::1]:80", true},
		{"[::]:80", "10.0.0.1:80", true},
		{"[::]:80", "[fd00::1]:80", true},
		{"[::]:80", "[fd00::2]:80", false},
	} {
		s := listeningSocket{addr: netip.MustParseAddrPort(c.listen)}
		if got := s.serves(netip.MustParseAddrPort(c.target), local); got != c.want {
			t.Errorf("%s serves %s: %v", c.listen, c.target, got)
		}
	}
}
