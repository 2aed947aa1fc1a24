package machine

import (
	"math"
	"net/netip"
	"strings"
	"testing"
)

// limitFiles are the files of a machine with low limits.
var limitFiles = map[string]string{
	"sys/fs/nr_open":                       "1048576\n",
	"sys/fs/file-nr":                       "1000\t0\t300000\n",
	"sys/fs/epoll/max_user_watches":        "250000\n",
	"sys/net/ipv4/tcp_mem":                 "100\t200\t300\n",
	"sys/net/ipv4/ip_local_port_range":     "32768\t60999\n",
	"sys/net/ipv4/ip_local_reserved_ports": "8080,32760-32769,40000\n",
	"sys/net/core/somaxconn":               "128\n",
	"sys/net/netfilter/nf_conntrack_count": "10\n",
	"sys/net/netfilter/nf_conntrack_max":   "65536\n",
	"meminfo":                              "MemTotal: 2000000 kB\nMemAvailable:   1000000 kB\n",
	"net/sockstat":                         "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 5\n",
}

func TestReadLimits(t *testing.T) {
	got, err := writeProc(t, limitFiles).limits()
	want := Limits{
		NrOpen: 1 << 20, FileUsed: 1000, FileMax: 300000, MemAvailable: 1000000 << 10,
		TCPMemPages: [3]int64{100, 200, 300}, TCPMemUsed: 5, MaxUserWatches: 250000,
		PortLow: 32768, PortHigh: 60999, ReservedPorts: 3, Somaxconn: 128, Conntrack: 10, ConntrackMax: 65536,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	// A kernel that shows no figure has no limits, but its ports are the default.
	got, err = writeProc(t, nil).limits()
	if want := (Limits{PortLow: 32768, PortHigh: 60999}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name := range limitFiles {
		if got, err := writeProc(t, map[string]string{name: "MemAvailable: x\nTCP: mem x\n"}).limits(); err == nil {
			t.Errorf("%s: no error, %+v", name, got)
		}
	}
}

func TestReadLimitsHere(t *testing.T) {
	l, err := ReadLimits()
	if err != nil {
		t.Fatal(err)
	}
	if l.Descriptors == 0 || l.DescriptorsMax < l.Descriptors || l.MemAvailable == 0 || l.PortHigh <= l.PortLow {
		t.Errorf("%+v", l)
	}
	if short := l.Check(Need{Conns: 1, Targets: addrPorts("127.0.0.1:80")}); fatal(short) {
		t.Errorf("no room for one connection: %+v", short)
	}
}

func TestCountPorts(t *testing.T) {
	for list, want := range map[string]int{
		"": 0, "\n": 0, "15": 1, "9": 0, "21": 0, "10-20": 11, "1-100": 11, "1-9": 0, "5-11,20-30,15\n": 4,
	} {
		if got, err := countPorts([]byte(list), 10, 20); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", list, got, err, want)
		}
	}
	for _, bad := range []string{"x", "1-", "-1", "1-2-3"} {
		if got, err := countPorts([]byte(bad), 10, 20); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		descriptors uint64
		conns, want int
	}{
		{0, 1000, 1}, {1064, 1000, 1}, {1064, 1001, 2}, {20000, 1000000, 51}, {20000, 0, 1},
		{64, 10, 10}, {math.MaxUint64, 1000000, 1},
	} {
		if got := (Limits{Descriptors: c.descriptors}).Processes(c.conns); got != c.want {
			t.Errorf("%d connections with %d descriptors: %d processes, want %d", c.conns, c.descriptors, got, c.want)
		}
	}
}

func addrPorts(texts ...string) (list []netip.AddrPort) {
	for _, s := range texts {
		list = append(list, netip.MustParseAddrPort(s))
	}
	return list
}

func addresses(texts ...string) (list []netip.Addr) {
	for _, s := range texts {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

// fatal reports whether one of the shortages is fatal.
func fatal(short []Shortage) bool {
	for _, s := range short {
		if s.Fatal {
			return true
		}
	}
	return false
}

func TestCheck(t *testing.T) {
	lo, remote := addrPorts("127.0.0.1:80"), addrPorts("10.0.0.1:80")
	const million = 1000000
	for _, c := range []struct {
		name   string
		limits Limits
		need   Need
		fix    string // in the only shortage's; "" = there is none
		fatal  bool
	}{
		{"nothing known", Limits{PortHigh: 9}, Need{Conns: million, Targets: lo, LocalServers: true}, "", false},

		{"descriptors worked out", Limits{Descriptors: 1000, DescriptorsMax: 1000}, Need{Conns: million}, "", false},
		{"descriptors fit", Limits{Descriptors: 564, DescriptorsMax: 564}, Need{Conns: 1000, Processes: 2}, "", false},
		{"no descriptors", Limits{Descriptors: 64, DescriptorsMax: 100}, Need{Conns: 5}, "ulimit -n 65", true},
		{"soft", Limits{Descriptors: 563, DescriptorsMax: 9999}, Need{Conns: 1000, Processes: 2}, "ulimit -n 564", true},
		{"hard", Limits{Descriptors: 563, DescriptorsMax: 563, NrOpen: 999}, Need{Conns: 1000, Processes: 2}, "ulimit -n 564 # as root", true},
		{"nr_open", Limits{Descriptors: 500, DescriptorsMax: 500, NrOpen: 500}, Need{Conns: 1000, Processes: 2},
			"sysctl -w fs.nr_open=564 && ulimit -n 564 # as root", true},

		{"files", Limits{FileMax: 2*1000 + 64 + 4096 + 9, FileUsed: 9}, Need{Conns: 1000, LocalServers: true}, "", false},
		{"files short", Limits{FileMax: 2*1000 + 64 + 4096 + 8, FileUsed: 9}, Need{Conns: 1000, LocalServers: true}, "sysctl -w fs.file-max=6169", true},
		{"one end", Limits{FileMax: 1000 + 64 + 4096}, Need{Conns: 1000}, "", false},
		{"no limit", Limits{FileMax: math.MaxInt64, FileUsed: 9}, Need{Conns: million, LocalServers: true}, "", false},

		{"watches", Limits{MaxUserWatches: 24096}, Need{Conns: 10000, LocalServers: true}, "", false},
		{"watches short for both", Limits{MaxUserWatches: 24095}, Need{Conns: 10000, LocalServers: true}, "sysctl -w fs.epoll.max_user_watches=24096", false},
		{"watches short", Limits{MaxUserWatches: 9999}, Need{Conns: 10000}, "sysctl -w fs.epoll.max_user_watches=14096", true},

		{"conntrack", Limits{ConntrackMax: 14100, Conntrack: 4}, Need{Conns: 10000, LocalServers: true}, "", false},
		{"conntrack short", Limits{ConntrackMax: 14099, Conntrack: 4}, Need{Conns: 10000}, "sysctl -w net.netfilter.nf_conntrack_max=14100", true},
		{"conntrack not in use", Limits{ConntrackMax: 100}, Need{Conns: 10000}, "sysctl -w net.netfilter.nf_conntrack_max=14096", false},

		{"memory", Limits{MemAvailable: 8392 * 1000}, Need{Conns: 1000, LocalServers: true}, "", false},
		{"memory short", Limits{MemAvailable: 8392*1000 - 1}, Need{Conns: 1000, LocalServers: true}, "at most 999 connections", false},
		{"memory far too short", Limits{MemAvailable: 4296*500 - 1}, Need{Conns: 1000}, "at most 499 connections", true},

		{"tcp_mem", Limits{TCPMemPages: [3]int64{1, 1005, 2000}, TCPMemUsed: 5}, Need{Conns: 1000}, "", false},
		{"tcp_mem short", Limits{TCPMemPages: [3]int64{100, 1004, 2000}, TCPMemUsed: 4 + 4}, Need{Conns: 1000},
			`sysctl -w net.ipv4.tcp_mem="756 1008 2000"`, false},

		{"backlog", Limits{Somaxconn: 128}, Need{Conns: 5000, LocalServers: true}, "sysctl -w net.core.somaxconn=4096", false},
		{"backlog of a few", Limits{Somaxconn: 128}, Need{Conns: 128, LocalServers: true}, "", false},
		{"backlog elsewhere", Limits{Somaxconn: 128}, Need{Conns: 5000}, "", false},

		{"ports", Limits{PortLow: 32768, PortHigh: 60999}, Need{Conns: 25408, Targets: remote}, "", false},
		{"ports short", Limits{PortLow: 32768, PortHigh: 60999}, Need{Conns: 25409, Targets: remote},
			`sysctl -w net.ipv4.ip_local_port_range="1024 65535"`, true},
	} {
		short := c.limits.Check(c.need)
		switch {
		case c.fix == "" && len(short) == 0:
		case len(short) != 1:
			t.Errorf("%s: %+v", c.name, short)
		case c.fix == "" || !strings.Contains(short[0].Fix, c.fix) || short[0].Fatal != c.fatal || short[0].Text == "":
			t.Errorf("%s: %+v, want fatal = %v and %q", c.name, short[0], c.fatal, c.fix)
		}
	}
}

func TestCheckAll(t *testing.T) {
	l, err := writeProc(t, limitFiles).limits()
	if err != nil {
		t.Fatal(err)
	}
	l.Descriptors, l.DescriptorsMax = 20000, 20000
	short := l.Check(Need{Conns: 1000000, Processes: 10, Targets: addrPorts("10.0.0.1:80"), LocalServers: true})
	if len(short) != 8 {
		t.Errorf("%d of 8 shortages: %+v", len(short), short)
	}
}

func TestCheckPorts(t *testing.T) {
	narrow := Limits{PortLow: 32768, PortHigh: 60999} // 25408 each; 58060 with the range widened
	reserved := narrow
	reserved.ReservedPorts = 10000
	for _, c := range []struct {
		name    string
		limits  Limits
		conns   int
		targets []netip.AddrPort
		sources []netip.Addr
		fix     string // "" = enough
	}{
		{"loopback deals out", narrow, 1000000, addrPorts("127.0.0.1:80", "[::ffff:127.0.0.1]:81"), nil, ""},
		{"no target", narrow, 1000000, nil, nil, ""},
		{"targets", narrow, 4 * 25408, addrPorts("10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80", "[fd00::1]:80"), nil, ""},
		{"the same target", narrow, 4 * 25408, addrPorts("10.0.0.1:80", "10.0.0.1:81", "10.0.0.1:80", "10.0.0.2:80"), nil, `"1024 65535"`},
		{"sources", narrow, 2 * 25408, addrPorts("10.0.0.1:80"), addresses("10.0.0.2", "10.0.0.3"), ""},
		{"the same source", narrow, 2 * 25408, addrPorts("10.0.0.1:80"), addresses("10.0.0.2", "::ffff:10.0.0.2"), `"1024 65535"`},
		{"sources of the other family", narrow, 10, addrPorts("10.0.0.1:80"), addresses("fd00::2"), "1 more source addresses"},
		{"many", narrow, 1000000, addrPorts("10.0.0.1:80"), nil, "17 more source addresses: ip address add"},
		{"few sources on loopback", narrow, 200000, addrPorts("127.0.0.1:80"), addresses("127.0.0.2"), "4 source addresses, such as 127.0.0.2"},
		{"IPv6 loopback", narrow, 200000, addrPorts("[::1]:80"), nil, "3 more source addresses"},
		{"reserved ports", reserved, 25408, addrPorts("10.0.0.1:80"), nil, `"1024 65535"`},
	} {
		s, short := c.limits.checkPorts(Need{Conns: c.conns, Targets: c.targets, Sources: c.sources})
		if short != (c.fix != "") || short != s.Fatal || !strings.Contains(s.Fix, c.fix) {
			t.Errorf("%s: %+v, %v, want %q", c.name, s, short, c.fix)
		}
	}
}
