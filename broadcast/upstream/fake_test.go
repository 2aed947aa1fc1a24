package upstream

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/broadcast"
	"tickcast/broadcast/topics"
)

// A fakeServer speaks NATS's protocol as far as a client needs it, and answers the first subscription of a connection with the
// bytes of a test.
type fakeServer struct {
	url  string
	subs chan string // the subjects of SUB lines
	says func(connection int) string
	mu   sync.Mutex
	n    int // connections
}

func startFake(t *testing.T, says func(connection int) string) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &fakeServer{url: "nats://" + l.Addr().String(), subs: make(chan string, 1000), says: says}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.n++
			n := f.n
			f.mu.Unlock()
			go f.serve(c, n)
		}
	}()
	return f
}

func (f *fakeServer) serve(c net.Conn, n int) {
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"X\",\"max_payload\":1000000,\"proto\":1,\"headers\":true}\r\n")
	in, first := bufio.NewScanner(c), true
	for in.Scan() {
		switch word, rest, _ := strings.Cut(in.Text(), " "); word {
		case "PING":
			_, _ = c.Write([]byte("PONG\r\n"))
		case "SUB":
			if f.subs <- strings.Fields(rest)[0]; first {
				first = false
				_, _ = c.Write([]byte(f.says(n)))
			}
		}
	}
}

func (f *fakeServer) awaitSub(t *testing.T, subject string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case s := <-f.subs:
			if s == subject {
				return
			}
		case <-timeout.C:
			t.Fatalf("nobody asks for %s", subject)
		}
	}
}

// survives connects to a server that sends bad bytes to its first client, and is correct from the second on.
func survives(t *testing.T, line string) {
	t.Helper()
	f := startFake(t, func(connection int) string {
		if connection > 1 {
			return "MSG px.A 1 1\r\n7\r\n"
		}
		return line
	})
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	_, result := runUpstream(t, h, Config{URLs: []string{f.url}})
	awaitConnected(t, h)
	l.join(0, "px.A")
	f.awaitSub(t, "px.A")
	f.awaitSub(t, "px.A") // of the second connection
	l.awaitData(t, 0, "px.A", "7")
	select {
	case err := <-result:
		t.Fatalf("Run returned %v", err)
	default:
	}
}

// No input from a NATS server ends this server: it connects anew.
func TestErrorsOfNATS(t *testing.T) {
	for _, text := range []string{
		"Maximum Payload Violation", "Unknown Protocol Operation", "Attempted To Connect To Route Port", "Authorization Violation",
		"Authorization Timeout", "Invalid Client Protocol", "Maximum Control Line Exceeded", "Parser Error",
		"Secure Connection - TLS Required", "Stale Connection", "Maximum Connections Exceeded", "Slow Consumer",
		"User Authentication Expired", "User Authentication Revoked", "Account Authentication Expired", "Invalid Publish Subject",
		"no such thing", "", "'", "\"",
	} {
		t.Run(text, func(t *testing.T) { survives(t, "-ERR '"+text+"'\r\n") })
	}
}

// A broken or hostile NATS server cannot make nats.go panic, or allocate memory for bytes that were not sent.
func TestImpossibleLines(t *testing.T) {
	for _, line := range []string{
		"MSG px.A 1 9223372036854775807\r\n1\r\n", "MSG px.A 1 99999999999999999999\r\n1\r\n", "MSG px.A 1 -5\r\n1\r\n",
		"MSG px.A 1 1073741824\r\n1\r\n", "MSG px.A 1 x\r\n1\r\n", "MSG px.A 1\r\n", "MSG px.A\r\n", "MSG\r\n", "MSG a b c d e f g h\r\n",
		"HMSG px.A 1 12 9223372036854775807\r\n1\r\n", "HMSG px.A 1 9223372036854775807 12\r\n1\r\n", "HMSG px.A 1 13 12\r\n1\r\n",
		"MSG px.A -1 1\r\n1\r\n", "MSG px.A 1 1\r\n12\r\n", "MSG px.A 1 1\r\n1\n\r", "MSG px.A\r 1 1\r\n1\r\n", "PONG\n", "GET / HTTP/1.1\r\n", "\x00\r\n",
		"MSG " + strings.Repeat("a", 70_000), "INFO " + strings.Repeat("a", 2_000_000) + "\r\n", "INFO {\r\n", "SUB a 1\r\n",
	} {
		t.Run(line[:min(len(line), 40)], func(t *testing.T) { survives(t, line) })
	}
}

// A message that arrives before the new connection has all subscriptions comes after the gap too.
func TestMessageBeforeTheLastSubscription(t *testing.T) {
	f := startFake(t, func(connection int) string {
		if connection > 1 {
			return "MSG ord.A 1 1\r\n2\r\n"
		}
		return "MSG ord.A 1 1\r\n1\r\n-ERR 'unheard of'\r\n"
	})
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 10}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	runUpstream(t, h, Config{URLs: []string{f.url}})
	awaitConnected(t, h)
	l.join(0, "ord.A")
	l.awaitData(t, 0, "ord.A", "1")
	l.await(t, 0, "a gap before the message", func(m told) bool {
		if string(m.D) == "2" {
			t.Fatalf("%+v came before the gap", m)
		}
		return m.Op == "gap"
	})
	if m := l.awaitData(t, 0, "ord.A", "2"); m[len(m)-1].P != 0 {
		t.Errorf("the first message behind the gap tells of the one before it: %+v", m[len(m)-1])
	}
}
