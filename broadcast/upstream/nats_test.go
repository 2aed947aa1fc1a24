package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/wire"
)

func send(t *testing.T, nc *nats.Conn, topic, payload string) {
	t.Helper()
	if err := nc.Publish(topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// The same from a server in this process, without a socket, and over TCP.
func TestNATSToClients(t *testing.T) {
	for _, inProcess := range []bool{true, false} {
		t.Run(fmt.Sprintf("in process %v", inProcess), func(t *testing.T) {
			ns := natstest.Start(t, &server.Options{Port: -1, DontListen: inProcess})
			cfg, option := Config{URLs: []string{ns.ClientURL()}}, nats.Option(func(*nats.Options) error { return nil })
			if inProcess {
				cfg, option = Config{InProcess: ns.Server}, nats.InProcessServer(ns)
			}
			h := broadcast.New(openConfig())
			l := startLoop(t, h.Shard(0))
			n, _ := runUpstream(t, h, cfg)
			l.join(1, "px.A", "px.*")
			ns.Await(t, "SUB px.A")
			ns.Await(t, "SUB px.*")
			n.flush(t)
			nc := natstest.Connect(t, ns.ClientURL(), option)
			for i := range 20 {
				send(t, nc, "px.A", fmt.Sprint(i))
			}
			var updates []string
			for _, m := range l.awaitData(t, 1, "px.A", "19") {
				if m.T != "" {
					updates = append(updates, string(m.D))
				}
			}
			if got := strings.Join(updates, " "); got != "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19" {
				t.Errorf("overlapping subscriptions brought %s", got)
			}
			awaitConnected(t, h)
			if st := h.Stats(); st.UpstreamMessages < 20 || st.UpstreamDropped != 0 || st.Interests != 2 {
				t.Errorf("stats: %+v", st)
			}
		})
	}
}

func TestNATSSubscriptionsFollowInterest(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Linger = 50 * time.Millisecond
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	before := ns.NumSubscriptions()
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	l.join(0, "px.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	if got := ns.NumSubscriptions() - before; got != 1 {
		t.Errorf("NATS has %d subscriptions, want 1", got)
	}
	nc := natstest.Connect(t, ns.ClientURL())
	send(t, nc, "px.A", "1")
	l.awaitData(t, 0, "px.A", "1")

	l.do(func() { l.shard.Leave(0) })
	ns.Await(t, "UNSUB") // after the linger
	n.flush(t)
	if got := ns.NumSubscriptions() - before; got != 0 {
		t.Errorf("NATS has %d subscriptions after the linger, want 0", got)
	}
	send(t, nc, "px.A", "2") // without a subscriber
	l.join(0, "px.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	send(t, nc, "px.A", "3")
	for _, m := range l.awaitData(t, 0, "px.A", "3") {
		if m.K != "" || string(m.D) == "2" {
			t.Errorf("told %s of the time without interest", m.Short())
		}
	}
}

// A subscriber that leaves and comes back within the linger causes no message and no call to NATS.
func TestNATSSubscriptionOutlivesItsSubscriber(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Linger = time.Hour
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	nc := natstest.Connect(t, ns.ClientURL())
	l.join(0, "px.A", "marker")
	ns.Await(t, "SUB px.A")
	ns.Await(t, "SUB marker")
	n.flush(t)
	for i := range 5 {
		l.do(func() { l.shard.Leave(0) })
		send(t, nc, "px.A", fmt.Sprint(i)) // without a subscriber
		l.join(1, "marker")
		send(t, nc, "marker", fmt.Sprint(i)) // behind it on the same connection
		l.awaitData(t, 1, "marker", fmt.Sprint(i))
		l.do(func() { l.shard.Leave(1) })
		l.join(0, "px.A")
		if got := l.awaitData(t, 0, "px.A", fmt.Sprint(i)); got[len(got)-1].K != "snap" {
			t.Errorf("told %s, want the snapshot", got[len(got)-1].Short())
		}
	}
	n.flush(t)
	select {
	case asked := <-ns.Asked:
		t.Errorf("NATS was asked for %s", asked)
	default:
	}
}

func TestNATSGoesAwayAndComesBack(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Linger = time.Hour
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h) // later it could be lost among the reports that NATS is away
	l.join(0, "px.A", "px.*")
	ns.Await(t, "SUB px.A")
	ns.Await(t, "SUB px.*")
	n.flush(t)
	port := ns.Port()
	send(t, natstest.Connect(t, ns.ClientURL()), "px.A", "1")
	l.awaitData(t, 0, "px.A", "1")

	ns.Stop()
	if m := l.awaitOp(t, 0, "stale"); m[len(m)-1].Why == "" || string(m[len(m)-1].Topics) != `[">"]` {
		t.Errorf("told %+v", m)
	}
	if h.Ready() == nil || h.Stats().UpstreamConnected {
		t.Error("ready without upstream")
	}
	l.do(func() { l.shard.Apply(0, []byte(`{"op":"sub","topics":["px.B"]}`)) }) // subscribed once NATS is back
	l.do(func() { l.shard.Apply(0, []byte(`{"op":"unsub","topics":["px.*"]}`)) })

	ns = natstest.Start(t, &server.Options{Port: port})
	l.awaitOp(t, 0, "fresh")
	for range 3 { // px.* lingers
		ns.Await(t, "SUB")
	}
	n.flush(t)
	nc := natstest.Connect(t, ns.ClientURL())
	send(t, nc, "px.A", "2")
	send(t, nc, "px.B", "3")
	l.awaitData(t, 0, "px.B", "3")
	if st := h.Stats(); st.UpstreamReconnects != 1 || !st.UpstreamConnected {
		t.Errorf("stats: %+v", st)
	}
}

// A missing NATS server is no error: clients hear stale until it is there.
func TestNATSStartsLater(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	port, url := ns.Port(), ns.ClientURL()
	ns.Stop()
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{url}})
	l.join(0, "px.A")
	l.awaitOp(t, 0, "stale")
	ns = natstest.Start(t, &server.Options{Port: port})
	l.awaitOp(t, 0, "fresh")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	send(t, natstest.Connect(t, url), "px.A", "1")
	l.awaitData(t, 0, "px.A", "1")
	if got := h.Stats().UpstreamReconnects; got != 0 {
		t.Errorf("the first connection counts as %d reconnects", got)
	}
}

func TestPubReachesNATS(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Publish = []string{"chat.*"}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	nc := natstest.Connect(t, ns.ClientURL())
	elsewhere, err := nc.SubscribeSync("chat.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	l.join(0, "chat.room1")
	ns.Await(t, "SUB chat.room1")
	n.flush(t)
	l.do(func() { l.shard.Apply(0, []byte(`{"op":"pub","id":4,"topic":"chat.room1","data":{"text":"hi"}}`)) })
	m, err := elsewhere.NextMsg(patience)
	if err != nil || m.Subject != "chat.room1" || string(m.Data) != `{"text":"hi"}` {
		t.Errorf("NATS got %+v, %v", m, err)
	}
	l.awaitData(t, 0, "chat.room1", `{"text":"hi"}`) // and back
	if st := h.Stats(); st.Published != 1 || st.PublishErrors != 0 {
		t.Errorf("stats: %+v", st)
	}
	ns.Stop()
	l.awaitOp(t, 0, "stale") // one connection has noticed; the one that publishes may take a moment longer
	answer := told{Op: "ack"}
	for answer.Op == "ack" {
		l.do(func() { l.shard.Apply(0, []byte(`{"op":"pub","id":5,"topic":"chat.room1","data":1}`)) })
		m := l.await(t, 0, "ack or err", func(m told) bool { return m.Op == "ack" || m.Op == "err" })
		answer = m[len(m)-1]
	}
	if answer.Code != wire.CodeNotAvailable {
		t.Errorf("told %+v", answer)
	}
}
