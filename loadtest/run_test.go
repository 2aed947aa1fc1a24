package loadtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/loadtest/fleet"
	"tickcast/wsproto"
)

func TestRunHolds(t *testing.T) {
	url := serveRaw(t, func(c *net.TCPConn, key []byte) {
		c.Write(upgrade(key))
		readMessage(c)
		c.Write(wsproto.AppendFrame(nil, wsproto.OpText, []byte(ackMessage)))
		drain(c)
	})
	run, err := NewRun(testContext(t), Plan{
		Fleet:     fleet.Config{URL: url, Conns: 50, Topics: []string{"px.A"}},
		Processes: 3, Hold: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	var shown int
	r, err := run.Do(testContext(t), func(Progress) { shown++ })
	if err != nil {
		t.Fatal(err)
	}
	if !r.Clean || r.Connections.Opened != 50 || r.Connections.Subscribed != 50 || r.Connections.Lost != 0 || shown == 0 {
		t.Errorf("%d shown, report %+v", shown, r)
	}
}

// paced carries a run out, and again as long as the machine was too busy for the publisher: such a run says nothing.
func paced(t *testing.T, do func() *Report) (r *Report) {
	t.Helper()
	for range 5 {
		if r = do(); !slices.ContainsFunc(r.Reasons, wasBusy) {
			break
		}
		t.Logf("again: %q", r.Reasons)
	}
	return r
}

// wasBusy reports whether a reason is that the publisher was late.
func wasBusy(reason string) bool {
	return strings.Contains(reason, "did not keep its pace") || strings.HasSuffix(reason, "messages not published in time")
}

const ackMessage = `{"op":"ack","id":1,"topics":[],"errors":[]}`

func TestMain(m *testing.M) {
	if os.Getenv(PartVariable) != "" {
		if err := ServePart(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testContext ends when a test has taken so long that it must be stuck.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// serveRaw runs a TCP server; each connection is handed to handle after its upgrade request was read, and closed when
// that returns.
func serveRaw(t *testing.T, handle func(c *net.TCPConn, key []byte)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head []byte
				for buf := make([]byte, 4096); ; {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					head = append(head, buf[:n]...)
					if r, n, err := wsproto.ParseRequest(head, wsproto.RequestLimits{}); err != nil {
						t.Errorf("request: %v", err)
						return
					} else if n > 0 {
						if err := r.CheckUpgrade(); err != nil {
							t.Errorf("upgrade: %v", err)
						}
						handle(c.(*net.TCPConn), r.Key)
						return
					}
				}
			}()
		}
	}()
	return "ws://" + ln.Addr().String() + "/"
}

// upgrade is the whole answer to a good request, the subprotocol included.
func upgrade(key []byte) []byte {
	return wsproto.AppendUpgrade(nil, key, fleet.Subprotocol, wsproto.Deflate{})
}

// drain reads frames until the client has sent its close frame or closed.
func drain(c net.Conn) {
	var d wsproto.Decoder
	for buf := make([]byte, 4096); ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) > 0; {
			m, n, err := d.Next(nil, b)
			if err != nil || m.Op == wsproto.OpClose {
				return
			}
			b = b[n:]
		}
	}
}

// startNATS runs a NATS server on the loopback until the test ends.
func startNATS(t *testing.T) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS server does not start")
	}
	return ns
}
