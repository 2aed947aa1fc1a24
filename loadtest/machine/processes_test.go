package machine

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCostsOfProcesses(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	own, other := Processes{os.Getpid()}, cmd.Process.Pid
	rss, cpu, err := own.Sample()
	if err != nil || rss < 1<<20 || cpu <= 0 {
		t.Fatalf("%d, %v, %v", rss, cpu, err)
	}
	exact, err := own.Memory()
	if err != nil || exact.RSS < rss/2 || exact.RSS > rss*2 {
		t.Errorf("%+v, %v, and %d by the counters", exact, err, rss)
	}
	both := append(Processes{other}, own...)
	if _, more, err := both.Sample(); err != nil || more < cpu {
		t.Errorf("%v, then %v, %v", cpu, more, err)
	}
	if m, err := both.Memory(); err != nil || m.Anon <= 0 || m.RSS <= m.Anon {
		t.Errorf("%+v, %v", m, err)
	}

	// A process that has ended is an error, and no sum includes it.
	cmd.Process.Kill()
	cmd.Wait()
	if rss, more, err := both.Sample(); err == nil || rss < 1<<20 || more < cpu {
		t.Errorf("%d, %v, %v", rss, more, err)
	}
	if m, err := both.Memory(); err == nil || m.RSS < 1<<20 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestNoProcesses(t *testing.T) {
	if rss, cpu, err := Processes(nil).Sample(); rss != 0 || cpu != 0 || err != nil {
		t.Errorf("%d, %v, %v", rss, cpu, err)
	}
}

func TestResidentMemory(t *testing.T) {
	p := writeProc(t, map[string]string{"7/statm": "1000 20 3 4 0 5 0\n", "8/statm": "0 0 0 0 0 0 0\n"})
	if rss, err := p.residentMemory(7); err != nil || rss != 20*int64(os.Getpagesize()) {
		t.Errorf("%d, %v", rss, err)
	}
	for _, pid := range []int{8, 9} { // a zombie, and a process that does not exist
		if rss, err := p.residentMemory(pid); err == nil {
			t.Errorf("process %d: %d", pid, rss)
		}
	}
}
