package fleet

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// The goal is 150 bytes a client, without the kernel memory of epoll and TCP.
func TestClientSize(t *testing.T) {
	const want = 8 + 4 + 4 + 8 // decoder, descriptor, time, eight bytes of state
	if got := unsafe.Sizeof(client{}); got != want {
		t.Errorf("a client has %d bytes, want %d", got, want)
	}
}

// openPair returns a worker that is not running, its only client open, and the descriptor of the server's end.
func openPair(t testing.TB) (*worker, int) {
	t.Helper()
	f := &common{conns: 1, stride: 1, begun: time.Now(), targets: make([]target, 1)}
	w, err := newWorker(f, 0, 1, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.release)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	w.adopt(t, 0, fds[0])
	return w, fds[1]
}

// adopt makes fd the open connection of the client in slot i.
func (w *worker) adopt(t testing.TB, i int32, fd int) {
	t.Helper()
	t.Cleanup(func() { w.dropClient(i) })
	w.started++
	w.held++
	w.totals.Open++
	c := &w.clients[i]
	c.fd, c.state = int32(fd), stateOpen
	if err := unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: i}); err != nil {
		t.Fatal(err)
	}
}

func TestWorkerDoesNotAllocate(t *testing.T) {
	w, server := openPair(t)
	frames := wsproto.AppendFrame(nil, wsproto.OpText, []byte(`{"t":"px.AAPL","s":1,"d":`+string(bytes.Repeat([]byte("1"), 128))+`}`))
	frames = wsproto.AppendFrame(frames, wsproto.OpPing, []byte("ping"))
	frames = wsproto.AppendFrame(frames, wsproto.OpText, []byte(`{"op":"hb","ts":1}`))
	pong := make([]byte, 64)
	round := func() {
		if _, err := unix.Write(server, frames); err != nil {
			t.Fatal(err)
		}
		if err := w.runTurn(0); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(server, pong); err != nil || n != 2+4+4 {
			t.Fatalf("pong: %d bytes, %v", n, err)
		}
	}
	const rounds = 100
	if n := testing.AllocsPerRun(rounds, round); n != 0 {
		t.Errorf("%v allocations a round of three frames", n)
	}
	want := Ledger{Messages: 2 * (rounds + 1), Data: rounds + 1}
	got := w.totals.Ledger
	got.Bytes = 0
	if got != want || w.fleet.data.n.Load() != rounds+1 {
		t.Errorf("received %+v", got)
	}
}

// Bytes that a full socket refuses are sent in order when there is room.
func TestWorkerUnsent(t *testing.T) {
	w, server := openPair(t)
	var want []byte
	for n := 0; len(w.unsent) == 0; n++ {
		b := bytes.Repeat([]byte{byte(n)}, 1000)
		want = append(want, b...)
		w.send(0, b)
	}
	more := []byte("behind the unsent")
	want = append(want, more...)
	w.send(0, more)
	var got []byte
	for buf := make([]byte, 4096); len(got) < len(want); {
		n, err := unix.Read(server, buf)
		if err == unix.EAGAIN {
			if err := w.runTurn(0); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("read: %d, %v", n, err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("bytes differ")
	}
	if len(w.unsent) != 0 || w.clients[0].state != stateOpen {
		t.Errorf("%d unsent, state %d", len(w.unsent), w.clients[0].state)
	}
}

// A server that never reads costs a bounded number of bytes, then its client is gone.
func TestWorkerBacklog(t *testing.T) {
	w, _ := openPair(t)
	b := make([]byte, 1000)
	for w.clients[0].state == stateOpen {
		w.send(0, b)
		if n := len(w.unsent[0]); n > maxUnsent {
			t.Fatalf("%d bytes unsent", n)
		}
	}
	w.publish()
	if n := w.faults[Fault{Kind: FaultBacklog}]; n != 1 || w.published.Lost != 1 || w.published.Open != 0 {
		t.Errorf("faults %v, totals %+v", w.faults, w.published)
	}
	if len(w.unsent) != 0 {
		t.Error("bytes are kept for a client that is gone")
	}
}
