package fleet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"tickcast/wsproto"
)

// textFrames returns a frame for each message.
func textFrames(messages ...string) (b []byte) {
	for _, m := range messages {
		b = wsproto.AppendFrame(b, wsproto.OpText, []byte(m))
	}
	return b
}

// step writes b to the worker's client and runs one turn of the worker.
func step(t *testing.T, w *worker, server int, b []byte) {
	t.Helper()
	if _, err := unix.Write(server, b); err != nil {
		t.Fatal(err)
	}
	if err := w.runTurn(0); err != nil {
		t.Fatal(err)
	}
}

const (
	ackMessage  = `{"op":"ack","id":1,"topics":[],"errors":[]}`
	dataMessage = `{"t":"px.A","s":1,"d":{}}`
)

// A deaf client reads up to the acknowledgement, and the rest of its input once the fleet closes.
func TestDeafClient(t *testing.T) {
	w, server := openPair(t)
	w.fleet.deaf = true
	step(t, w, server, textFrames(`{"op":"hello"}`))
	step(t, w, server, textFrames(ackMessage))
	if w.totals.Messages != 2 || w.totals.Acked != 1 {
		t.Fatalf("before: %+v", w.totals)
	}
	for range 3 {
		step(t, w, server, textFrames(dataMessage))
	}
	if w.totals.Data != 0 || w.totals.Open != 1 {
		t.Fatalf("it has read: %+v", w.totals)
	}
	w.startClosing()
	if err := w.runTurn(0); err != nil {
		t.Fatal(err)
	}
	if w.totals.Data != 3 {
		t.Errorf("closing: %+v", w.totals)
	}
}

// A deaf client whose server ends the connection is lost.
func TestDeafClientIsLost(t *testing.T) {
	w, server := openPair(t)
	w.fleet.deaf = true
	step(t, w, server, textFrames(ackMessage))
	unix.Shutdown(server, unix.SHUT_RDWR)
	if err := w.runTurn(0); err != nil {
		t.Fatal(err)
	}
	if w.totals.Lost != 1 || w.totals.Open != 0 {
		t.Errorf("totals %+v", w.totals)
	}
}

// A closing handshake ends deaf clients too.
func TestFleetDeaf(t *testing.T) {
	const conns = 10
	ctx := testContext(t)
	codes := make(chan websocket.StatusCode, conns)
	url := serveWS(t, func(ctx context.Context, c *websocket.Conn) {
		wantSubscribe(t, ctx, c)
		c.Write(ctx, websocket.MessageText, []byte(ackMessage))
		_, _, err := c.Read(ctx)
		codes <- websocket.CloseStatus(err)
	})
	f := startFleet(t, Config{URL: url, Conns: conns, Workers: 1, Topics: []string{"px.A"}, Deaf: true})
	if err := f.WaitSubscribed(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range conns {
		if code := <-codes; code != websocket.StatusNormalClosure {
			t.Errorf("a client closed with %d", code)
		}
	}
}

func TestReceiveBuffer(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := &common{conns: 1, stride: 1, receive: 4096, begun: time.Now(), targets: []target{{addr: netip.MustParseAddrPort(ln.Addr().String())}}}
	w, err := newWorker(f, 0, 1, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.release()
	w.connect(0)
	defer w.dropClient(0)
	// The kernel doubles the number.
	if n, err := unix.GetsockoptInt(int(w.clients[0].fd), unix.SOL_SOCKET, unix.SO_RCVBUF); n != 2*4096 {
		t.Errorf("SO_RCVBUF %d, %v", n, err)
	}
}

func TestStamped(t *testing.T) {
	mark := stampOf("at")
	for payload, want := range map[string]int64{
		`{"t":"px.A","s":1,"d":{"at":1234,"x":5}}`: 1234,
		`{"t":"px.A","s":1,"d":{"at":9}`:           9,
		`{"t":"px.A","s":1,"d":{"at":"x"}}`:        0,
		`{"t":"px.A","s":1,"d":{}}`:                0,
		`{"t":"px.A","s":1,"d":{"at":`:             0,
	} {
		if got := stamped([]byte(payload), mark); got != want {
			t.Errorf("%s: %d, want %d", payload, got, want)
		}
	}
	if mark := stampOf(""); mark != nil {
		t.Errorf("mark %q without a name", mark)
	}
}

// A message's latency counts from its stamp. A message without a stamp has no latency.
func TestLatencies(t *testing.T) {
	w, server := openPair(t)
	f := w.fleet
	f.stamp, w.stamped = stampOf("at"), NewHistogram()
	f.begun, f.begunAt = time.Now(), int64(time.Hour)
	sent := f.now() - int64(time.Minute)
	step(t, w, server, textFrames(fmt.Sprintf(`{"t":"px.A","s":1,"d":{"at":%d}}`, sent), dataMessage))
	l := countsOf(w.stamped)
	if got := l.Quantile(1); l.Count() != 1 || got < time.Minute || got > 2*time.Minute {
		t.Errorf("%d latencies, the longest %v", l.Count(), got)
	}
	frames := textFrames(fmt.Sprintf(`{"t":"px.A","s":1,"d":{"at":%d}}`, sent))
	if n := testing.AllocsPerRun(100, func() { step(t, w, server, frames) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
