package fleet

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// BenchmarkReceive compares the cost of a message in a fleet's worker with the read(2) that every worker needs, over the
// same TCP sockets, in turns. Only receiving counts, by the CPU clock of the thread, with one message waiting at each
// socket.
//
// In the variant ledger the same tick goes to all clients, and each delivery is accounted for.
func BenchmarkReceive(b *testing.B) {
	b.Run("count", func(b *testing.B) {
		frame := wsproto.AppendFrame(nil, wsproto.OpText,
			[]byte(`{"t":"px.AAPL","s":918302,"d":`+string(bytes.Repeat([]byte("1"), 128))+`}`))
		w, err := newWorker(&common{conns: receivers, stride: 1, begun: time.Now(), targets: make([]target, 1)}, 0, 1, 1, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer w.release()
		benchmarkReceive(b, w, func() []byte { return frame })
	})
	b.Run("ledger", func(b *testing.B) {
		w := newAccount(b, receivers, []string{"px.AAPL"}, true)
		benchmarkReceive(b, w, func() []byte { return nextTick(w, 0) })
		if l := &w.ledger.byTopic[0]; l.Received != uint64(b.N*receivers) || w.ledger.countBehind() != 0 || len(w.ledger.troubles) != 0 {
			b.Fatalf("%+v, %d behind, troubles %+v", l, w.ledger.countBehind(), w.ledger.troubles)
		}
	})
}

// receivers is the number of clients of a worker that receive.
const receivers = 1000

func benchmarkReceive(b *testing.B, w *worker, next func() []byte) {
	servers := tcpPairs(b, w)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cost := func(frame []byte, receive func(n int)) time.Duration {
		for _, fd := range servers {
			if _, err := unix.Write(fd, frame); err != nil {
				b.Fatal(err)
			}
		}
		begun := threadCPU(b)
		receive(len(frame))
		return threadCPU(b) - begun
	}
	reads := func(want int) {
		for i := range w.clients {
			if n, errno := readNow(w.clients[i].fd, w.buf); n != want {
				b.Fatal(n, errno)
			}
		}
	}
	turns := func(int) {
		for want := w.totals.Data + receivers; w.totals.Data < want; {
			if err := w.runTurn(0); err != nil {
				b.Fatal(err)
			}
		}
	}
	var bare, worker time.Duration
	for b.Loop() {
		frame := next()
		bare += cost(frame, reads)
		worker += cost(frame, turns)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bare)/float64(b.N)/receivers, "read-ns/msg")
	b.ReportMetric(float64(worker)/float64(b.N)/receivers, "worker-ns/msg")
	b.ReportMetric(float64(worker)/float64(bare), "ratio")
}

// threadCPU returns the CPU time of this thread.
func threadCPU(b *testing.B) time.Duration {
	b.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// tcpPairs gives all clients of a worker open and subscribed connections, and returns the descriptors of the other ends.
func tcpPairs(b *testing.B, w *worker) []int {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	var servers []int
	for i := range w.clients {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		w.adopt(b, int32(i), descriptor(b, c))
		w.grant(int32(i), true)
		fd := descriptor(b, s)
		b.Cleanup(func() { unix.Close(fd) })
		servers = append(servers, fd)
	}
	return servers
}

// descriptor closes c and returns a non-blocking duplicate of its descriptor, which the runtime's poller does not know.
func descriptor(b *testing.B, c net.Conn) int {
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	dup := -1
	raw.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		b.Fatal(err)
	}
	return dup
}
