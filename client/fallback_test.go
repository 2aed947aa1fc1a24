package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/client"
	"tickcast/client/proxytest"
)

// refusing returns a filter that answers what opens a WebSocket and, if events is set, what asks for events.
func refusing(answer string, events bool) func(*http.Request) string {
	return func(r *http.Request) string {
		if r.Header.Get("Upgrade") != "" || events && strings.Contains(r.Header.Get("Accept"), "event-stream") {
			return answer
		}
		return ""
	}
}

// startFiltered starts a proxy with a filter.
func startFiltered(t *testing.T, url string, filter func(*http.Request) string) *proxytest.Proxy {
	t.Helper()
	if allSecure {
		t.Skip("its proxy reads requests without TLS")
	}
	p := proxytest.Start(t, url)
	p.Filter(filter)
	return p
}

// only returns the options of a client with one transport, with connections of its own.
func only(t *testing.T, transport client.Transport) client.Options {
	return client.Options{Transports: []client.Transport{transport}, HTTPClient: ownHTTP(t)}
}

// ownHTTP returns an HTTP client whose connections end with the test.
func ownHTTP(t *testing.T) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

var (
	allTransports = []client.Transport{client.TransportWebSocket, client.TransportEvents, client.TransportPoll}
	fallbacks     = allTransports[1:]
)

// waits returns the number of waits for the next attempt.
func (h *heard) waits() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.status {
		if !s.RetryAt.IsZero() {
			n++
		}
	}
	return n
}

// has reports whether a message has come, as a snapshot or not: polls bring those of mode last as snapshots.
func (h *heard) has(topic, data string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.seen, func(m client.Message) bool { return m.Topic == topic && string(m.Data) == data })
}

// by waits until topics are live by a transport.
func (h *heard) by(transport client.Transport, topics ...string) {
	h.t.Helper()
	eventually(h.t, "by "+string(transport), func() bool { return h.Status().Transport == transport })
	h.live(topics...)
}

// A proxy that refuses upgrades leads to events, and one that refuses events too to polls, without a wait. Other topics are another
// request, and commands fail.
func TestFallback(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	for _, transport := range fallbacks {
		for _, status := range []string{"403 Forbidden", "400 Bad Request", "426 Upgrade Required", "501 Not Implemented"} {
			if transport == client.TransportPoll && status[0] == '4' && status != "426 Upgrade Required" {
				continue // events refused with 403 would be the server's word
			}
			t.Run(string(transport)+" after "+status, func(t *testing.T) {
				p := startFiltered(t, s.stream, refusing(proxytest.Refusal(status), transport == client.TransportPoll))
				c := startClient(t, p.URL, client.Options{HTTPClient: ownHTTP(t)})
				c.subscribe("px.A")
				c.by(transport, "px.A")
				if c.waits() > 0 {
					t.Errorf("%+v", c.status)
				}
				c.warm(nc, "px.A")
				c.subscribe("px.B", "a,b")
				c.live("px.A", "px.B", "a,b")
				c.warm(nc, "px.B", "a,b")
				publish(t, nc, "a,b", "1")
				eventually(t, "a message", func() bool { return c.has("a,b", "1") })
				if e := asError(t, c.Publish(within(t), "chat.a", 1)); e.Code != 108 {
					t.Errorf("%+v", e)
				}
				if lost, errs := c.losses(0), c.errs(0); len(lost)+len(errs) > 0 || c.waits() > 0 {
					t.Errorf("%v, %v, %+v", lost, errs, c.status)
				}
			})
		}
	}
}

// A proxy that lets upgrades hang, and one that lets events hang too, lead to the next transport after the time of an opening.
func TestFallbackAfterSilence(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	var clients []*heard
	for _, transport := range fallbacks {
		p := startFiltered(t, s.stream, refusing(proxytest.Silence, transport == client.TransportPoll))
		c := startClient(t, p.URL, client.Options{HTTPClient: ownHTTP(t)})
		c.subscribe("px.A")
		clients = append(clients, c)
	}
	for i, transport := range fallbacks {
		clients[i].by(transport, "px.A")
	}
}

// Everything comes once by each transport over cuts, by topic and by pattern, and over the way back to WebSocket.
func TestNothingIsLostByFallbacks(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	for _, transport := range fallbacks {
		t.Run(string(transport), func(t *testing.T) {
			p := startFiltered(t, s.stream, refusing(proxytest.Refusal("426 Upgrade Required"), transport == client.TransportPoll))
			topic := "ord." + string(transport)
			topics := []string{topic, topic + ".*"}
			keeper := startClient(t, s.stream, client.Options{}) // keeps the server's interest
			keeper.subscribe(topics...)
			keeper.live(topics...)
			keeper.warm(nc, topic, topic+".x")
			c := startClient(t, p.URL, client.Options{HTTPClient: ownHTTP(t), UpgradeInterval: 50 * time.Millisecond})
			c.subscribe(topics...)
			c.by(transport, topics...)
			n := 0
			burst := func() {
				for range 50 {
					publish(t, nc, []string{topic, topic + ".x"}[n%2], strconv.Itoa(n))
					n++
				}
			}
			for range 3 {
				burst()
				p.Drop(true) // a poll would be sent again after a cut
				burst()
				c.offline()
				p.Drop(false)
				c.Connect()
				c.by(transport, topics...)
			}
			p.Filter(nil)
			burst()
			c.by(client.TransportWebSocket, topics...)
			burst()
			c.expectNumbers(n)
		})
	}
}

// expectNumbers waits until the numbers below n have come, and checks that each came once and in order, without a loss.
func (h *heard) expectNumbers(n int) {
	h.t.Helper()
	eventually(h.t, "all numbers", func() bool { return len(h.data()) >= n })
	for i, data := range h.data() {
		if data != strconv.Itoa(i) {
			h.t.Errorf("%q in place of %d, of %d messages", data, i, len(h.data()))
			break
		}
	}
	if lost := h.losses(0); len(lost) > 0 {
		h.t.Errorf("%+v", lost)
	}
}

// A fallback has one cursor for all topics of an epoch. It passes over nothing that one of them has missed, and nothing comes twice to
// the others.
func TestCursorsOfOneEpoch(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	keeper := startClient(t, s.stream, client.Options{})
	keeper.subscribe("ord.>", "px.A")
	keeper.live("ord.>", "px.A")
	keeper.warm(nc, "ord.early", "ord.late", "px.A")
	publish(t, nc, "px.A", `"old"`)
	for _, transport := range fallbacks {
		t.Run(string(transport), func(t *testing.T) {
			before := keeper.Cursor("ord.>")
			publish(t, nc, "ord.early", "1", "2")
			publish(t, nc, "ord.late", "3")
			c := startClient(t, s.stream, only(t, transport))
			c.subscribe("ord.late")
			c.live("ord.late")
			publish(t, nc, "ord.late", "4")
			eventually(t, "the other topic's message", func() bool { return slices.Equal(c.data(), []string{"4"}) })
			c.subscribeWith(client.SubscribeOptions{After: before}, "ord.early")
			eventually(t, "the missed messages", func() bool { return len(c.data("ord.early")) >= 2 })
			c.subscribe("px.A", "ord.new") // whose newest message is before the cursor
			c.live("ord.late", "ord.early", "px.A", "ord.new")
			eventually(t, "a snapshot", func() bool { return c.has("px.A", `"old"`) })
			publish(t, nc, "ord.new", "5")
			publish(t, nc, "ord.late", "6")
			eventually(t, "the last messages", func() bool { return len(c.data("ord.new", "ord.late")) >= 3 })
			if early, late := c.data("ord.early"), c.data("ord.late"); !slices.Equal(early, []string{"1", "2"}) || !slices.Equal(late, []string{"4", "6"}) {
				t.Errorf("%q and %q", early, late)
			}
			if lost, errs := c.losses(0), c.errs(0); len(lost)+len(errs) > 0 {
				t.Errorf("%v, %v", lost, errs)
			}
			keeper.live("ord.>")
		})
	}
}

// A subscription whose cursor is too old is told its loss, and costs the others of its epoch nothing.
func TestLossOfOneIsNotThatOfOthers(t *testing.T) {
	s := startServer(t, "[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nhistory = 5\n")
	nc := s.connect()
	keeper := startClient(t, s.stream, client.Options{})
	keeper.subscribe("ord.>")
	keeper.live("ord.>")
	keeper.warm(nc, "ord.old", "ord.new")
	for _, transport := range allTransports {
		t.Run(string(transport), func(t *testing.T) {
			before := keeper.Cursor("ord.>")
			publish(t, nc, "ord.old", "1", "2", "3", "4", "5", "6", "7", "8")
			c := startClient(t, s.stream, only(t, transport))
			c.subscribe("ord.new")
			c.live("ord.new")
			for i := range 9 {
				publish(t, nc, "ord.new", strconv.Itoa(i+1))
				eventually(t, "a message", func() bool { return len(c.data("ord.new")) == i+1 })
			}
			c.subscribeWith(client.SubscribeOptions{After: before}, "ord.old")
			c.losses(1)
			c.live("ord.old", "ord.new")
			publish(t, nc, "ord.new", "10")
			eventually(t, "all messages", func() bool { return slices.Contains(c.data("ord.new"), "10") })
			if got := c.data("ord.new"); len(got) != 10 || !slices.IsSortedFunc(got, func(a, b string) int { return len(a) - len(b) }) {
				t.Errorf("%q", got)
			}
			if lost := c.losses(1); len(lost) != 1 || lost[0].Topic != "ord.old" || lost[0].From != before {
				t.Errorf("%+v", lost)
			}
		})
	}
}

// By each transport a loss is told.
func TestLossIsToldByFallbacks(t *testing.T) {
	s := startServer(t, lossless)
	for _, transport := range fallbacks {
		c := startClient(t, s.stream, only(t, transport))
		c.subscribeWith(client.SubscribeOptions{After: "another:5"}, "ord.lost")
		if lost := c.losses(1); !slices.Equal(lost, []client.Lost{{Topic: "ord.lost", From: "another:5", Why: "not recovered"}}) {
			t.Errorf("%s: %+v", transport, lost)
		}
	}
}

// Refused topics are told once, beside those that are live, over any number of answers.
func TestRefusalsByFallbacks(t *testing.T) {
	s := startServer(t, "")
	nc := s.connect()
	for _, transport := range fallbacks {
		c := startClient(t, s.stream, only(t, transport))
		c.subscribe("$SYS.x", "px.A")
		c.live("px.A")
		c.warm(nc, "px.A")
		for i := range 3 {
			publish(t, nc, "px.A", fmt.Sprint(i))
			eventually(t, "a message", func() bool { return c.has("px.A", fmt.Sprint(i)) })
		}
		if errs := c.errs(1); len(errs) != 1 || errs[0].Code != 103 || errs[0].Topic != "$SYS.x" || c.State("$SYS.x") != client.TopicRefused {
			t.Errorf("%s: %v, %s", transport, errs, c.State("$SYS.x"))
		}
	}
}

// 403 by a fallback, or by the only transport, is final, and so is 401 at once. A wait that a proxy or the server names is kept.
func TestRefusedForms(t *testing.T) {
	s := startServer(t, "")
	for _, transport := range allTransports {
		t.Run(string(transport), func(t *testing.T) {
			p := startFiltered(t, s.stream, func(*http.Request) string {
				return "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
			})
			begin := time.Now()
			c := startClient(t, p.URL, only(t, transport))
			c.subscribe("px.A")
			eventually(t, "a wait", func() bool { return !c.Status().RetryAt.IsZero() })
			st := c.Status()
			if wait := time.Until(st.RetryAt); st.Code != 503 || st.RetryAt.Sub(begin) < 7*time.Second || wait > 10500*time.Millisecond {
				t.Errorf("%+v, which is in %v", st, wait)
			}
			p.Filter(func(*http.Request) string { return proxytest.Refusal("403 Forbidden") })
			c.Connect()
			<-c.ended
			if e := asError(t, c.stop()); e.Code != 403 {
				t.Errorf("%+v", e)
			}
		})
	}
	p := startFiltered(t, s.stream, func(*http.Request) string { return proxytest.Refusal("401 Unauthorized") })
	c := startClient(t, p.URL, client.Options{HTTPClient: ownHTTP(t)})
	c.subscribe("px.A")
	<-c.ended
	if e := asError(t, c.stop()); e.Code != 401 || c.times(client.StateConnecting) != 1 {
		t.Errorf("%+v, %+v", e, c.status)
	}
}

// Where WebSockets have worked, a server that is away is no proxy that blocks them.
func TestServerAwayIsNoProxy(t *testing.T) {
	s := startServer(t, "")
	p := proxytest.Start(t, s.stream)
	c := startClient(t, p.URL, client.Options{HTTPClient: ownHTTP(t)})
	c.subscribe("px.A")
	c.live("px.A")
	p.Drop(true)
	eventually(t, "another attempt", func() bool { return c.waits() >= 2 })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, st := range c.status {
		if st.Transport != "" && st.Transport != client.TransportWebSocket {
			t.Errorf("%+v", st)
		}
	}
}

// dialSmall opens a connection that holds little in the kernel.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	return c, err
}

// A client that is slow gets all messages of a topic of mode all, over the server's end of its stream; a poll has no stream that could
// fall behind.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := startServer(t, "[flow]\nqueue_bytes = \"256KiB\"\n[[topic]]\nmatch = \"ord.>\"\nmode = \"all\"\nhistory = 10000\n")
	nc := s.connect()
	keeper := startClient(t, s.stream, client.Options{})
	keeper.subscribe("ord.a")
	keeper.live("ord.a")
	keeper.warm(nc, "ord.a")
	for _, transport := range allTransports {
		t.Run(string(transport), func(t *testing.T) {
			o := only(t, transport)
			o.HTTPClient.Transport.(*http.Transport).DialContext = dialSmall
			c := startClient(t, s.stream, o)
			block, blocked := make(chan struct{}), make(chan struct{}, 1)
			var seen []int
			if _, err := c.Subscribe(func(m client.Message) {
				if m.Snapshot {
					return
				}
				select {
				case blocked <- struct{}{}:
					<-block
				default:
				}
				n, _, _ := strings.Cut(strings.Trim(string(m.Data), `"`), " ")
				i, _ := strconv.Atoi(n)
				c.note(func() { seen = append(seen, i) })
			}, client.SubscribeOptions{}, "ord.a"); err != nil {
				t.Fatal(err)
			}
			c.live("ord.a")
			const count = 500
			text := strings.Repeat("x", 4000)
			for i := range count {
				publish(t, nc, "ord.a", fmt.Sprintf("\"%d %s\"", i, text))
			}
			close(block)
			eventually(t, "all messages", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(seen) >= count })
			for i, n := range seen {
				if n != i {
					t.Fatalf("%d in place of %d", n, i)
				}
			}
			if lost := c.losses(0); len(lost) > 0 {
				t.Errorf("%+v", lost)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if ended := slices.ContainsFunc(c.status, func(s client.Status) bool { return s.Code == 4003 }); ended != (transport != client.TransportPoll) {
				t.Errorf("ended as slow: %v", ended)
			}
		})
	}
}

// A context that ends ends a poll that waits and a stream at once, also where the server is silent. Nothing is left.
func TestContextOfFallbacks(t *testing.T) {
	s := startServer(t, "")
	before := runtime.NumGoroutine()
	for _, transport := range fallbacks {
		o := only(t, transport)
		c := startClient(t, s.stream, o)
		c.subscribe("px.A")
		c.live("px.A")
		begin := time.Now()
		if err := c.stop(); !errors.Is(err, context.Canceled) || time.Since(begin) > 4*time.Second {
			t.Errorf("%s: %v after %v", transport, err, time.Since(begin))
		}
		o.HTTPClient.CloseIdleConnections()
		if st := c.Status(); st.State != client.StateOffline || st.Transport != "" || c.State("px.A") != client.TopicWaiting {
			t.Errorf("%+v, %s", st, c.State("px.A"))
		}
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// A stream of events without a word is given up after two heartbeats.
func TestSilenceOfEvents(t *testing.T) {
	s := startServer(t, quick)
	p := proxytest.Start(t, s.stream)
	c := startClient(t, p.URL, only(t, client.TransportEvents))
	c.subscribe("px.A")
	c.live("px.A")
	p.Hold(true)
	if st := c.offline(); st.Reason != "silence" {
		t.Errorf("%+v", st)
	}
	p.Hold(false)
	c.live("px.A")
}

// Without a subscription there is no request to send: commands fail, and the first subscription connects.
func TestIdleFallback(t *testing.T) {
	s := startServer(t, "")
	for _, transport := range fallbacks {
		c := startClient(t, s.stream, only(t, transport))
		if _, err := c.Time(within(t)); asError(t, err).Code != 108 {
			t.Error(err)
		}
		one := c.subscribe("px.A")
		c.live("px.A")
		one.Unsubscribe()
		eventually(t, "it is offline", func() bool { st := c.Status(); return st.State == client.StateOffline && st.RetryAt.IsZero() })
		c.subscribe("px.A")
		c.live("px.A")
	}
}

func TestTransportsAreChecked(t *testing.T) {
	for _, list := range [][]client.Transport{{"tcp"}, {"ws", "ws"}} {
		if _, err := client.New("ws://127.0.0.1/stream", client.Options{Transports: list}); err == nil {
			t.Errorf("%q is accepted", list)
		}
	}
}
