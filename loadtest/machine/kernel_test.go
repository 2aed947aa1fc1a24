package machine

import (
	"net"
	"os"
	"testing"
	"time"
)

func TestReadKernelMemory(t *testing.T) {
	got, err := writeProc(t, map[string]string{
		"meminfo":                              "MemTotal: 9 kB\nMemAvailable: 4 kB\nSlab: 2 kB\n",
		"sys/fs/file-nr":                       "1000\t0\t300000\n",
		"sys/net/netfilter/nf_conntrack_count": "10\n",
		"net/sockstat":                         "TCP: inuse 7 orphan 0 tw 0 alloc 1 mem 5\n",
		"net/sockstat6":                        "TCP6: inuse 30\n",
	}).kernelMemory()
	want := KernelMemory{
		Slab: 2 << 10, MemAvailable: 4 << 10, SockMem: 5 * int64(os.Getpagesize()), Sockets: 37, Conntrack: 10, Files: 1000,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, name := range []string{"meminfo", "sys/fs/file-nr", "net/sockstat", "net/sockstat6"} {
		if got, err := writeProc(t, map[string]string{name: "Slab: x\nTCP: mem x\nTCP6: inuse x\n"}).kernelMemory(); err == nil {
			t.Errorf("%s: no error, %+v", name, got)
		}
	}
}

func TestReadKernelMemoryHere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	k, err := ReadKernelMemory()
	if err != nil || k.Slab <= 0 || k.MemAvailable <= 0 || k.Sockets < 1 || k.Files < 1 {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestCPUTime(t *testing.T) {
	p := writeProc(t, map[string]string{"stat": "cpu  100 200 300 4000 500 60 70 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n"})
	busy, total, err := p.cpuTime()
	if err != nil || busy != 7380*time.Millisecond || total != 52380*time.Millisecond {
		t.Errorf("%v of %v, %v", busy, total, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "cpu 1 2 3 4 5 6 7 x\n"} {
		if busy, total, err := writeProc(t, map[string]string{"stat": bad}).cpuTime(); err == nil {
			t.Errorf("%q: %v of %v", bad, busy, total)
		}
	}
	busy, total, err = CPUTime()
	if err != nil || busy <= 0 || busy > total {
		t.Errorf("%v of %v, %v", busy, total, err)
	}
}
