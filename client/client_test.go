package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/client"
	"tickcast/client/proxytest"
)

const lossless = `
[publish]
topics = ["chat.>"]
[[topic]]
match = "ord.>"
mode = "all"
history = 1000
[[topic]]
match = "chat.>"
mode = "all"
history = 1000
[[topic]]
match = "bare.>"
mode = "all"
`

func TestSubscribe(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	t.Run("overlaps", func(t *testing.T) {
		one, all := startClient(t, s.stream, client.Options{}), []string(nil)
		exact := one.subscribe("px.B")
		if _, err := one.Subscribe(func(m client.Message) { one.note(func() { all = append(all, m.Topic+string(m.Data)) }) },
			client.SubscribeOptions{}, "px.*"); err != nil {
			t.Fatal(err)
		}
		one.live("px.B", "px.*")
		one.warm(nc, "px.B")
		eventually(t, "the pattern is warm", func() bool {
			publish(t, nc, "px.C", `"warm"`)
			one.mu.Lock()
			defer one.mu.Unlock()
			return slices.Contains(all, `px.C"warm"`)
		})
		publish(t, nc, "px.B", "1")
		publish(t, nc, "px.C", "2")
		have := func(n int) func() bool {
			return func() bool {
				one.mu.Lock()
				defer one.mu.Unlock()
				all = slices.DeleteFunc(all, func(s string) bool { return strings.HasSuffix(s, `"warm"`) })
				return len(all) == n
			}
		}
		eventually(t, "both messages", have(2))
		if got := one.data(); !slices.Equal(got, []string{"1"}) || !slices.Equal(all, []string{"px.B1", "px.C2"}) {
			t.Errorf("%q and %q", got, all)
		}
		exact.Unsubscribe()
		eventually(t, "one subscription", func() bool { list, err := one.List(within(t)); return err == nil && len(list) == 1 })
		publish(t, nc, "px.B", "3")
		eventually(t, "another message", have(3))
		if got := one.data(); !slices.Equal(got, []string{"1"}) || one.State("px.B") != client.TopicLive || one.State("a") != client.TopicNone {
			t.Errorf("%q, %s", got, one.State("px.B"))
		}
	})
	t.Run("a later handler", func(t *testing.T) {
		c := startClient(t, s.stream, client.Options{})
		first := c.subscribe("ord.*")
		c.live("ord.*")
		c.warm(nc, "ord.A", "ord.B")
		publish(t, nc, "ord.A", "1", "2")
		publish(t, nc, "ord.B", "3")
		eventually(t, "three messages", func() bool { return len(c.data()) == 3 })
		c.mu.Lock()
		before := len(c.seen)
		c.mu.Unlock()
		second := c.subscribe("ord.*")
		eventually(t, "snapshots", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.seen) == before+2 })
		var snaps []string
		for _, m := range c.seen[before:] {
			snaps = append(snaps, fmt.Sprint(m.Topic, string(m.Data), m.Snapshot))
		}
		slices.Sort(snaps)
		if !slices.Equal(snaps, []string{"ord.A2true", "ord.B3true"}) {
			t.Errorf("%q", snaps)
		}
		first.Unsubscribe()
		publish(t, nc, "ord.A", "4")
		eventually(t, "one more", func() bool { return len(c.data()) == 4 })
		second.Unsubscribe()
		eventually(t, "none", func() bool { list, err := c.List(within(t)); return err == nil && len(list) == 0 })
	})
	t.Run("refused", func(t *testing.T) {
		c := startClient(t, s.stream, client.Options{})
		c.subscribe("$SYS.x", "px.D")
		c.live("px.D")
		eventually(t, "a refusal", func() bool { return c.State("$SYS.x") == client.TopicRefused })
		if e := c.errs(1)[0]; e.Code != 103 || e.Topic != "$SYS.x" || e.Retry {
			t.Errorf("%+v", e)
		}
		silent, err := client.New(s.stream, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := silent.Subscribe(func(client.Message) {}, client.SubscribeOptions{}, "$SYS.x"); err != nil {
			t.Fatal(err)
		}
		if e := asError(t, silent.Run(within(t))); e.Code != 103 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("publish", func(t *testing.T) {
		c := startClient(t, s.stream, client.Options{})
		c.subscribe("chat.a")
		c.live("chat.a")
		c.warm(nc, "chat.a")
		if err := c.Publish(within(t), "chat.a", map[string]string{"text": "hi"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it comes back", func() bool { return slices.Equal(c.data(), []string{`{"text":"hi"}`}) })
		if e := asError(t, c.Publish(within(t), "px.A", 1)); e.Code != 103 {
			t.Errorf("%+v", e)
		}
		if at, err := c.Time(within(t)); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("the server's time is %v, %v", at, err)
		}
	})
	t.Run("split by the limits", func(t *testing.T) {
		c := startClient(t, s.stream, client.Options{})
		var topics []string
		for i := range 1000 {
			topics = append(topics, strings.Repeat("ü", 100)+fmt.Sprint(i))
		}
		c.subscribe(topics...)
		c.live(topics...)
		if errs := c.errs(0); len(errs) > 0 || c.times(client.StateConnecting) != 1 {
			t.Errorf("%v, %+v", errs, c.status)
		}
	})
	t.Run("latest", func(t *testing.T) {
		c := startClient(t, s.stream, client.Options{})
		c.subscribe("px.N,x")
		c.warm(nc, "px.N,x")
		list, err := c.Latest(within(t), "px.N,x", "$SYS.x")
		if len(list) != 1 || list[0].Topic != "px.N,x" || string(list[0].Data) != `"warm"` {
			t.Errorf("%+v", list)
		}
		if e := asError(t, err); e.Code != 103 || e.Topic != "$SYS.x" {
			t.Errorf("%+v", e)
		}
		if _, err := c.Latest(within(t), "$SYS.x"); err == nil {
			t.Error("a refused topic alone is no error")
		}
	})
}

// Everything comes once, over cuts at any time, by topic, by pattern and by both.
func TestNothingIsLostOverCuts(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	names := []string{"ord.x", "chat.x", "ord.y.z"}
	for _, topics := range [][]string{{"ord.x"}, {"ord.>"}, {"ord.x", "ord.*"}, names} {
		t.Run(strings.Join(topics, " and "), func(t *testing.T) {
			p := proxytest.Start(t, s.stream)
			c := startClient(t, p.URL, client.Options{})
			var byTopic []map[string][]string
			for i, topic := range topics {
				byTopic = append(byTopic, make(map[string][]string))
				if _, err := c.Subscribe(func(m client.Message) {
					if !m.Snapshot && string(m.Data) != `"warm"` {
						c.note(func() { byTopic[i][m.Topic] = append(byTopic[i][m.Topic], string(m.Data)) })
					}
				}, client.SubscribeOptions{}, topic); err != nil {
					t.Fatal(err)
				}
			}
			c.subscribe(topics...)
			c.live(topics...)
			want := make(map[string][]string)
			n := 0
			burst := func() {
				for range 50 {
					for _, name := range names {
						if err := nc.Publish(name, fmt.Append(nil, n)); err != nil {
							t.Fatal(err)
						}
						want[name] = append(want[name], fmt.Sprint(n))
						n++
					}
				}
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range names {
				if slices.ContainsFunc(topics, func(topic string) bool { return client.Covers(topic, name) }) {
					c.warm(nc, name)
				}
			}
			for range 3 {
				burst()
				p.Cut()
				burst()
				c.offline()
				c.Connect()
				c.live(topics...)
			}
			burst()
			for i, topic := range topics {
				for _, name := range names {
					if !client.Covers(topic, name) {
						continue
					}
					got := func() []string { c.mu.Lock(); defer c.mu.Unlock(); return slices.Clone(byTopic[i][name]) }
					eventually(t, fmt.Sprintf("all of %s by %s", name, topic), func() bool { return len(got()) >= len(want[name]) })
					if !slices.Equal(got(), want[name]) {
						t.Errorf("%s by %s: %s", name, topic, got())
					}
				}
			}
			if lost := c.losses(0); len(lost) > 0 {
				t.Errorf("%+v", lost)
			}
		})
	}
}

func TestCursorThatTheApplicationKept(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	one := startClient(t, s.stream, client.Options{})
	one.subscribe("ord.kept")
	one.live("ord.kept")
	one.warm(nc, "ord.kept")
	publish(t, nc, "ord.kept", "1")
	eventually(t, "a message", func() bool { return slices.Equal(one.data(), []string{"1"}) })
	cursor := one.Cursor("ord.kept")
	if err := one.stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	publish(t, nc, "ord.kept", "2")
	two := startClient(t, s.stream, client.Options{})
	two.subscribeWith(client.SubscribeOptions{After: cursor}, "ord.kept")
	eventually(t, "the missed message", func() bool { return slices.Equal(two.data(), []string{"2"}) })
	three := startClient(t, s.stream, client.Options{})
	three.subscribeWith(client.SubscribeOptions{After: "another:5"}, "ord.kept")
	three.live("ord.kept")
	if lost := three.losses(1); !slices.Equal(lost, []client.Lost{{Topic: "ord.kept", From: "another:5", Why: "not recovered"}}) {
		t.Errorf("%+v", lost)
	}
	if _, err := three.Subscribe(func(client.Message) {}, client.SubscribeOptions{After: "nonsense"}, "a"); err == nil {
		t.Error("a cursor that is none is accepted")
	}

	// A loss that nobody listens for ends Run.
	silent, err := client.New(s.stream, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Subscribe(func(client.Message) {}, client.SubscribeOptions{After: "another:5"}, "ord.kept"); err != nil {
		t.Fatal(err)
	}
	var lost *client.Lost
	if err := silent.Run(within(t)); !errors.As(err, &lost) || lost.Topic != "ord.kept" {
		t.Error(err)
	}
}

// A class without history, and a pattern without cursor: the loss is told once.
func TestLossIsTold(t *testing.T) {
	s := startServer(t, lossless)
	nc := s.connect()
	p := proxytest.Start(t, s.stream)
	c := startClient(t, p.URL, client.Options{})
	topics := []string{"bare.x", "bare.>", ">", "px.A"}
	c.subscribe(topics...)
	c.live(topics...)
	c.warm(nc, "bare.x")
	if lost := c.losses(0); len(lost) > 0 {
		t.Errorf("%+v", lost)
	}
	other := startClient(t, s.stream, client.Options{}) // which sees that the server has it
	other.subscribe("bare.x")
	other.live("bare.x")
	p.Drop(true)
	c.offline()
	publish(t, nc, "bare.x", "2")
	eventually(t, "the server has the message", func() bool { return slices.Contains(other.data(), "2") })
	p.Drop(false)
	c.Connect()
	c.live(topics...)
	var got []string
	for _, l := range c.losses(3) {
		got = append(got, fmt.Sprintf("%s %v %s", l.Topic, l.From != "", l.Why))
	}
	slices.Sort(got)
	if want := []string{"> false no cursor", "bare.> false no cursor", "bare.x true not recovered"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// On core NATS a restart is a loss, told once for each topic.
func TestRestartOnCoreNATS(t *testing.T) {
	s := startServer(t, lossless)
	c := startClient(t, s.stream, client.Options{})
	topics := []string{"ord.a", "ord.>", "px.A"}
	c.subscribe(topics...)
	c.live(topics...)
	s.end(syscall.SIGKILL)
	s.start()
	c.offline()
	c.live(topics...)
	var got []string
	for _, l := range c.losses(2) {
		got = append(got, l.Topic)
	}
	if !slices.Equal(got, []string{"ord.a", "ord.>"}) {
		t.Errorf("%q", got)
	}
}

// Behind JetStream 300 topics come back after a restart, and resume without loss, by each transport.
func TestRestartBehindJetStream(t *testing.T) {
	for _, transport := range allTransports {
		t.Run(string(transport), func(t *testing.T) { restartBehindJetStream(t, transport) })
	}
}

func restartBehindJetStream(t *testing.T, transport client.Transport) {
	s := startServer(t, `
[nats]
jetstream = true
[nats.embedded]
store_dir = "js"
[limits]
max_topics_per_connection = 400
[[topic]]
match = "ord.>"
mode = "all"
snapshot = "jetstream"
history = 100
`)
	js := addStream(t, s.connect())
	var topics []string
	for i := range 300 {
		topics = append(topics, fmt.Sprintf("ord.%d", i))
	}
	store := func(payload string) {
		t.Helper()
		for _, topic := range topics {
			eventually(t, "a message is stored", func() bool {
				_, err := js.Publish(topic, []byte(payload), nats.MsgId(topic+payload)) // which is stored once, whatever the answer
				return err == nil
			})
		}
	}
	c := startClient(t, s.stream, only(t, transport))
	c.subscribe(topics...)
	c.live(topics...)
	store("0")
	eventually(t, "the first messages", func() bool { return len(c.data()) == len(topics) })
	s.end(syscall.SIGTERM)
	s.start()
	store("1")
	c.offline()
	c.Connect()
	eventually(t, "the other messages", func() bool { return len(c.data()) >= 2*len(topics) })
	c.live(topics...)
	for _, topic := range topics {
		if got := c.data(topic); !slices.Equal(got, []string{"0", "1"}) {
			t.Errorf("%s: %q", topic, got)
		}
	}
	if lost := c.losses(0); len(lost) > 0 {
		t.Errorf("%+v", lost)
	}
}

// Topics beyond a limit are tried again, and the error is told once.
func TestRefusalsThatPass(t *testing.T) {
	s := startServer(t, "[limits]\nmax_topics_per_connection = 2\n")
	c := startClient(t, s.stream, client.Options{})
	a := c.subscribe("a")
	c.live("a")
	c.subscribe("b", "c")
	if e := c.errs(1)[0]; e.Code != 106 || e.Topic != "c" || !e.Retry || c.State("c") != client.TopicWaiting {
		t.Errorf("%+v, %s", e, c.State("c"))
	}
	a.Unsubscribe()
	c.live("c")
	if errs := c.errs(1); len(errs) != 1 {
		t.Errorf("%v", errs)
	}
}

// A context that ends ends Run at once, also where the server is silent, and nothing is left of the client.
func TestContext(t *testing.T) {
	s := startServer(t, "")
	before := runtime.NumGoroutine()
	for _, stuck := range []bool{false, true} {
		c := startClient(t, s.stream, client.Options{})
		c.subscribe("px.A")
		c.live("px.A")
		if stuck {
			s.signal(syscall.SIGSTOP)
		}
		begin := time.Now()
		if err := c.stop(); !errors.Is(err, context.Canceled) || time.Since(begin) > 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if st := c.Status(); st.State != client.StateOffline || !st.RetryAt.IsZero() || c.State("px.A") != client.TopicWaiting {
			t.Errorf("%+v, %s", st, c.State("px.A"))
		}
	}
	s.signal(syscall.SIGCONT)
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })

	// Subscriptions outlive Run.
	c := startClient(t, s.stream, client.Options{})
	c.subscribe("px.A")
	c.live("px.A")
	if err := c.Run(t.Context()); err != client.ErrRunning {
		t.Error(err)
	}
	c.stop()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	c.live("px.A")
	cancel()
	<-ended
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Publish(short, "px.A", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
