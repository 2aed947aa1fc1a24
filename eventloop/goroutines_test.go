package eventloop

import (
	"bytes"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/broadcast"
)

// fill opens n WebSockets that subscribe to topic "a", and reads their greetings. They hold no buffers. They are reset in the end,
// so that no port stays in TIME_WAIT.
func (s *server) fill(n int) []net.Conn {
	s.t.Helper()
	all := make([]net.Conn, n)
	req := []byte(request("topics=a"))
	var wg sync.WaitGroup
	const workers = 4
	for w := range workers {
		wg.Go(func() {
			for k := w; k < n; k += workers {
				nc, err := net.DialTimeout("tcp", s.addr, patience)
				if err != nil {
					s.t.Error(err)
					return
				}
				nc = s.secured(nc)
				all[k] = nc
				_ = nc.SetDeadline(time.Now().Add(4 * patience))
				_ = tcpOf(nc).SetLinger(0)
				if _, err := nc.Write(req); err != nil {
					s.t.Error(err)
					return
				}
				if err := readUntil(nc, `"op":"ack"`, "]}"); err != nil {
					s.t.Error(err)
					return
				}
			}
		})
	}
	s.t.Cleanup(func() {
		for _, nc := range all {
			if nc != nil {
				nc.Close()
			}
		}
	})
	wg.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	return all
}

// readUntil reads until marker has come and the last bytes are end.
func readUntil(nc net.Conn, marker, end string) error {
	var b [1024]byte
	n := 0
	for !bytes.Contains(b[:n], []byte(marker)) || !bytes.HasSuffix(b[:n], []byte(end)) {
		k, err := nc.Read(b[n:])
		if err != nil {
			return err
		}
		n += k
	}
	return nil
}

// Thousands of connections, open and written to, need no more goroutines than an empty server.
func TestConnectionsCostNoGoroutines(t *testing.T) {
	n := 5000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < uint64(2*n+1000) { // both ends are ours
		n = int(limit.Cur)/4 - 100
		t.Logf("the limit of open files allows %d connections", n)
	}
	s := start(t, func(c *Config, _ *broadcast.Config) { c.Backlog = 4096 })
	s.open("").Close()
	eventually(t, "it is gone", func() bool { return s.engine.Connections() == 0 })
	before := runtime.NumGoroutine()
	all := s.fill(n)
	const constant = 5 // continuations under way, and the runtime's own
	if after := runtime.NumGoroutine(); after > before+constant {
		t.Errorf("%d goroutines with %d connections, %d without", after, n, before)
	}

	s.hub.Publish("a", []byte("1"))
	for _, nc := range all {
		if err := readUntil(nc, `{"t":"a","s":1,"d":1}`, "}"); err != nil {
			t.Fatal(err)
		}
	}
	if after := runtime.NumGoroutine(); after > before+constant {
		t.Errorf("%d goroutines after a fan-out, %d before", after, before)
	}
	st := s.stats()
	if st.WebSockets != int64(n) || st.Connections != int64(n) || st.Opened != uint64(n)+1 {
		t.Errorf("%+v", st)
	}
	var perLoop []int64
	s.onLoops(func(l *loop) { perLoop = append(perLoop, l.counters.connections.Load()) })
	if len(perLoop) != 2 || min(perLoop[0], perLoop[1]) < int64(n)/4 {
		t.Errorf("the loops hold %d connections", perLoop)
	}
}
