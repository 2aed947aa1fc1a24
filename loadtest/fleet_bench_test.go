package loadtest

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// BenchmarkReceive compares what a message costs a fleet's worker with the read(2) that it cannot do without, over the
// same TCP sockets, in turns. Only receiving counts, by the CPU clock of the thread, with one message waiting at each
// socket.
func BenchmarkReceive(b *testing.B) {
	const conns = 1000
	frame := wsproto.AppendFrame(nil, wsproto.OpText,
		[]byte(`{"t":"px.AAPL","s":918302,"d":`+string(bytes.Repeat([]byte("1"), 128))+`}`))
	w, servers := tcpPairs(b, conns)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cost := func(receive func()) time.Duration {
		for _, fd := range servers {
			if _, err := unix.Write(fd, frame); err != nil {
				b.Fatal(err)
			}
		}
		begun := threadCPU(b)
		receive()
		return threadCPU(b) - begun
	}
	reads := func() {
		for i := range w.clients {
			if n, errno := readNow(w.clients[i].fd, w.buf); n != len(frame) {
				b.Fatal(n, errno)
			}
		}
	}
	turns := func() {
		for want := w.totals.Data + conns; w.totals.Data < want; {
			if err := w.turn(0); err != nil {
				b.Fatal(err)
			}
		}
	}
	var bare, worker time.Duration
	for b.Loop() {
		bare += cost(reads)
		worker += cost(turns)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bare)/float64(b.N)/conns, "read-ns/msg")
	b.ReportMetric(float64(worker)/float64(b.N)/conns, "worker-ns/msg")
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

// tcpPairs returns a worker that is not running with n open clients, and the descriptors of the other ends.
func tcpPairs(b *testing.B, n int) (*worker, []int) {
	w, err := newWorker(&Fleet{conns: n, times: 1, begun: time.Now(), targets: make([]target, 1)}, 0, 1, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.release)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	var servers []int
	for i := range n {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		w.adopt(b, int32(i), descriptor(b, c))
		fd := descriptor(b, s)
		b.Cleanup(func() { unix.Close(fd) })
		servers = append(servers, fd)
	}
	return w, servers
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
