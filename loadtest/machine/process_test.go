package machine

import (
	"os"
	"runtime/debug"
	"testing"
	"time"
)

func TestProcessCPU(t *testing.T) {
	begun := time.Now()
	before, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The clock must advance with this process. On a busy machine 20 ms of CPU time may take any time.
	for n := 0; ; n++ {
		after, err := ProcessCPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after-before > 20*time.Millisecond {
			break
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("the clock went from %v to %v", before, after)
		}
	}
	if own, clock := ownCPU(), before; own < clock {
		t.Errorf("getrusage %v, later, is less than the clock's %v", own, clock)
	}
	if _, err := ProcessCPU(1 << 30); err == nil {
		t.Error("a process that does not exist has a clock")
	}
}

func TestProcessMemory(t *testing.T) {
	debug.FreeOSMemory() // else the block may be memory that an earlier test has touched
	m, err := ProcessMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.Anon <= 0 || m.Anon > m.RSS || m.PSS > m.RSS {
		t.Errorf("%+v", m)
	}
	block := make([]byte, 32<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	more, err := ProcessMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := more.Anon - m.Anon; grown < 24<<20 {
		t.Errorf("grew by %d after 32 MiB were touched (last %d)", grown, block[len(block)-1])
	}
	if _, err := ProcessMemory(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

func TestProcessMemoryOfFiles(t *testing.T) {
	good := "00400000-7fff ---p 00000000 00:00 0  [rollup]\nRss:  1872 kB\nPss:   640 kB\nPss_Dirty: 148 kB\nAnonymous:  148 kB\n"
	if m, err := writeProc(t, map[string]string{"7/smaps_rollup": good}).processMemory(7); err != nil || m != (Memory{1872 << 10, 640 << 10, 148 << 10}) {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range []string{"", "Rss: 1 kB\nPss: 1 kB\n", "Rss: x kB\nPss: 1 kB\nAnonymous: 1 kB\n"} {
		if m, err := writeProc(t, map[string]string{"7/smaps_rollup": bad}).processMemory(7); err == nil {
			t.Errorf("%q: %+v", bad, m)
		}
	}
}
