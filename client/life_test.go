package client_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/auth/authtest"
	"tickcast/client"
	"tickcast/client/proxytest"
)

func addStream(t *testing.T, nc *nats.Conn) nats.JetStreamContext {
	t.Helper()
	js, err := nc.JetStream(nats.MaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "ORD", Subjects: []string{"ord.>"}}); err != nil {
		t.Fatal(err)
	}
	return js
}

const quick = "[connection]\nheartbeat = \"1s\"\n"

// A server that says nothing is given up after two and a half heartbeats.
func TestSilence(t *testing.T) {
	s := startServer(t, quick)
	p := proxytest.Start(t, s.stream)
	c := startClient(t, p.URL, client.Options{})
	c.subscribe("px.A")
	c.live("px.A")
	p.Hold(true)
	begin := time.Now()
	if st := c.offline(); st.Reason != "silence" || time.Since(begin) < 900*time.Millisecond {
		t.Errorf("%+v after %v", st, time.Since(begin))
	}
	if c.State("px.A") != client.TopicWaiting {
		t.Error(c.State("px.A"))
	}
	p.Hold(false)
	c.live("px.A")
}

// A handler that takes longer than the heartbeats ends no connection: messages may wait behind it.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	s := startServer(t, "[connection]\nheartbeat = \"2s\"\n")
	nc := s.connect()
	c := startClient(t, s.stream, client.Options{}) // which gives up after five seconds without a word
	block := make(chan struct{})
	var calls atomic.Int32
	if _, err := c.Subscribe(func(client.Message) {
		if calls.Add(1) == 1 {
			<-block
		}
	}, client.SubscribeOptions{}, "px.A"); err != nil {
		t.Fatal(err)
	}
	c.live("px.A")
	eventually(t, "the handler is called", func() bool { publish(t, nc, "px.A", "1"); return calls.Load() == 1 })
	timer := time.NewTimer(7 * time.Second) // of heartbeats, not a wait for a result
	for waiting := true; waiting; {
		select {
		case <-timer.C:
			waiting = false
		default:
			publish(t, nc, "px.A", fmt.Sprintf("%q", strings.Repeat("x", 10_000)))
		}
	}
	close(block)
	eventually(t, "it is called again", func() bool { publish(t, nc, "px.A", "2"); return calls.Load() > 2 })
	if n := c.times(client.StateConnecting); n != 1 {
		t.Errorf("%d connections", n)
	}
	eventually(t, "lag is told", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.lag > 0 })
}

// NATS away, and a topic's own silence: the end of one is not the end of the other.
func TestStale(t *testing.T) {
	upstream := startServer(t, "")
	s := startServer(t, "[[topic]]\nmatch = \"quiet.>\"\nstale_after = \"300ms\"\n", "TICKCAST_NATS_EMBEDDED_LISTEN=",
		"TICKCAST_NATS_URLS="+upstream.nats, "TICKCAST_NATS_RECONNECT_WAIT=100ms")
	nc := upstream.connect()
	c := startClient(t, s.stream, client.Options{})
	c.subscribe("quiet.a", "px.*")
	c.live("px.*") // the server has reached NATS: before that all is stale
	eventually(t, "quiet.a alone is stale", func() bool {
		st := c.Status()
		return st.State == client.StateStale && slices.Equal(st.Stale, []string{"quiet.a"})
	})
	upstream.end(syscall.SIGKILL)
	eventually(t, "all is stale", func() bool { return c.State("px.*") == client.TopicStale && c.State("px.A") == client.TopicStale })
	upstream.start()
	c.live("px.*")
	if c.State("quiet.a") != client.TopicStale {
		t.Error("its silence goes on")
	}
	c.mu.Lock()
	told := len(c.topics)
	c.mu.Unlock()
	eventually(t, "the test's own connection is back", nc.IsConnected)
	eventually(t, "quiet.a is told live", func() bool {
		publish(t, nc, "quiet.a", "1")
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Contains(c.topics[told:], "quiet.a live")
	})
}

// A server that ends says when to come back, and its clients obey, by each transport.
func TestDrain(t *testing.T) {
	for transport, code := range map[client.Transport]int{client.TransportWebSocket: 1012, client.TransportEvents: 1012, client.TransportPoll: 503} {
		t.Run(string(transport), func(t *testing.T) {
			s := startServer(t, "[drain]\nwindow = \"10s\"\nduration = \"100ms\"\n")
			c := startClient(t, s.stream, only(t, transport))
			c.subscribe("px.A")
			c.live("px.A")
			s.end(syscall.SIGTERM)
			st := c.offline()
			if wait := time.Until(st.RetryAt); st.Code != code || wait > 10*time.Second {
				t.Errorf("%+v, which is in %v", st, wait)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if transport != client.TransportPoll && !slices.ContainsFunc(c.notice, func(s string) bool { return strings.Contains(s, `"drain"`) }) {
				t.Errorf("%q", c.notice)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	if allSecure {
		t.Skip("its proxy answers without TLS")
	}
	s := startServer(t, "")
	p := proxytest.Start(t, s.stream)
	p.Answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	begin := time.Now()
	c := startClient(t, p.URL, client.Options{})
	c.subscribe("px.A")
	eventually(t, "a wait", func() bool { return !c.Status().RetryAt.IsZero() })
	st := c.Status()
	if wait := time.Until(st.RetryAt); st.Code != 503 || st.RetryAt.Sub(begin) < 7*time.Second || wait > 10500*time.Millisecond {
		t.Errorf("%+v, which is in %v", st, wait)
	}
	p.Answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	c.Connect()
	<-c.ended
	if e := asError(t, c.stop()); e.Code != 403 {
		t.Errorf("%+v", e)
	}
}

// A refused connection is a state, and the waits grow.
func TestRefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + l.Addr().String() + "/stream"
	l.Close()
	c := startClient(t, url, client.Options{})
	c.subscribe("px.A")
	eventually(t, "two attempts", func() bool { return c.times(client.StateOffline) >= 2 })
	if c.State("px.A") != client.TopicWaiting {
		t.Error(c.State("px.A"))
	}
}

// The clients of a killed server come back spread over half a second to two.
func TestClientsOfAKilledServerSpread(t *testing.T) {
	s := startServer(t, "")
	var clients []*heard
	for range 200 {
		c := startClient(t, s.stream, client.Options{})
		c.subscribe("px.A")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.live("px.A")
	}
	begin := time.Now() // clients may notice the end before end returns
	s.end(syscall.SIGKILL)
	counts := make(map[int]int)
	for _, c := range clients {
		at := c.offline().RetryAt.Sub(begin)
		if at < 400*time.Millisecond {
			t.Errorf("a client comes back after %v", at)
		}
		counts[int(at/(100*time.Millisecond))]++
	}
	for slot, n := range counts {
		if n > 40 {
			t.Errorf("%d of 200 come back between %d and %d ms", n, slot*100, slot*100+100)
		}
	}
}

// A client shows a token when it connects, and another before it expires; one that the server refuses ends it.
func TestTokens(t *testing.T) {
	t.Parallel()
	pair := authtest.NewPair(t, "EdDSA")
	key := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(key, pair.Public, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, fmt.Sprintf("[auth]\nkeys = [%q]\nnotice = \"8s\"\ngrace = \"4s\"\nleeway = \"0s\"\n", key))
	token := func(life time.Duration, topics ...string) string {
		return pair.Sign(t, "", map[string]any{"sub": "ann", "exp": time.Now().Add(life).Unix(), "subscribe": topics})
	}
	for _, transport := range allTransports {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			tokensBy(t, s, transport, token)
		})
	}
}

// tokensBy tests the tokens of one transport. Where no command can be sent, a new token is another request, for which it is asked for
// once more; a poll is not told that its token expires, and is refused.
func tokensBy(t *testing.T, s *server, transport client.Transport, token func(life time.Duration, topics ...string) string) {
	var asked atomic.Int32
	life := 12 * time.Second
	renewed := token(time.Hour, "sec.>")
	o := only(t, transport)
	o.Token = func(context.Context) (string, error) {
		if asked.Add(1) == 1 {
			return token(life, "sec.>", "old.>"), nil
		}
		return renewed, nil
	}
	connections, tokens := 1, int32(2)
	switch transport {
	case client.TransportEvents:
		connections, tokens = 2, 3
	case client.TransportPoll: // which the server ends when the time of grace is over
		connections, life = 2, 4*time.Second
	}
	c := startClient(t, s.stream, o)
	c.subscribe("sec.a", "old.a")
	eventually(t, "the new token does not cover old.a", func() bool { return c.State("old.a") == client.TopicRefused })
	eventually(t, "it was live before", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return slices.Contains(c.topics, "old.a live") })
	if errs := c.errs(1); len(errs) != 1 || errs[0].Code != 103 || errs[0].Topic != "old.a" {
		t.Errorf("%v", errs)
	}
	if c.live("sec.a"); c.times(client.StateConnecting) != connections || asked.Load() != tokens {
		t.Errorf("%+v, %d tokens", c.status, asked.Load())
	}
	o.Token = func(context.Context) (string, error) { return "nonsense", nil }
	refused := startClient(t, s.stream, o)
	refused.subscribe("sec.a")
	<-refused.ended
	if e := asError(t, refused.stop()); e.Code != 401 {
		t.Errorf("%+v", e)
	}
}

// A client without subscriptions is closed with 4001, and comes back with the first. One whose subscriptions do not arrive
// comes back by itself.
func TestIdle(t *testing.T) {
	if allSecure {
		t.Skip("its proxy lets the first bytes of a client pass, not a handshake")
	}
	s := startServer(t, "[limits]\nfirst_message_timeout = \"1s\"\n")
	held := proxytest.Start(t, s.stream)
	held.Hold(true) // else the server may hear of the subscription
	idle := startClient(t, held.URL, client.Options{})
	one := idle.subscribe("px.A")
	one.Unsubscribe()
	held.Hold(false)
	idled := func(c *heard) func() bool {
		return func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.ContainsFunc(c.status, func(s client.Status) bool { return s.Code == 4001 })
		}
	}
	eventually(t, "nothing is subscribed", idled(idle))
	if st := idle.Status(); !st.RetryAt.IsZero() {
		t.Errorf("%+v", st)
	}
	idle.subscribe("px.A")
	idle.live("px.A")

	p := proxytest.Start(t, s.stream)
	p.Deafen(true)
	c := startClient(t, p.URL, client.Options{})
	c.subscribe("px.A")
	eventually(t, "the server has heard nothing", idled(c))
	p.Deafen(false)
	c.live("px.A")
}
