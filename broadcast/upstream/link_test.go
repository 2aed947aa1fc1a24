package upstream

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
)

// A link forwards connections to a NATS server. While it is cut, it forwards no byte and closes no connection. It accepts
// new connections without an answer. This is a network that drops packets, except that the kernel still acknowledges.
type link struct {
	url string
	cut atomic.Bool
}

func startLink(t *testing.T, to string) *link {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	l := &link{url: "nats://" + ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			s, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			t.Cleanup(func() { _ = s.Close() })
			go l.forward(c, s)
			go l.forward(s, c)
		}
	}()
	return l
}

func (l *link) forward(to, from net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if l.cut.Load() {
			discard(from)
			return
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

// discard reads bytes and drops them.
func discard(from net.Conn) { _, _ = io.Copy(io.Discard, from) }

// The silence of the NATS server reveals a link that drops packets both ways. Subscribers hear stale, and the server is not
// ready.
func TestHalfOpenLink(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	l := startLink(t, ns.Addr().String())
	h := broadcast.New(openConfig())
	loop := startLoop(t, h.Shard(0))
	const ping = 500 * time.Millisecond
	n, _ := runUpstream(t, h, Config{URLs: []string{l.url}, PingInterval: ping, ConnectTimeout: 10 * ping})
	awaitConnected(t, h)
	loop.join(0, "px.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	nc := natstest.Connect(t, ns.ClientURL())
	send(t, nc, "px.A", "1")
	loop.awaitData(t, 0, "px.A", "1")

	l.cut.Store(true)
	cut := time.Now()
	send(t, nc, "px.A", "2") // lost
	loop.awaitOp(t, 0, "stale")
	if took := time.Since(cut); took > patience/2 { // the kernel would notice after many minutes
		t.Errorf("noticed after %v, with a ping each %v", took, ping)
	}
	if h.Ready() == nil {
		t.Error("ready")
	}
	l.cut.Store(false)
	got := loop.awaitOp(t, 0, "fresh")
	if string(got[len(got)-1].Topics) != `[">"]` {
		t.Errorf("told %+v", got)
	}
	// The newest value was missed: the topic stays stale until the next.
	got = loop.awaitOp(t, 0, "stale")
	if string(got[len(got)-1].Topics) != `["px.A"]` {
		t.Errorf("told %+v", got)
	}
	send(t, nc, "px.A", "3")
	got = loop.awaitData(t, 0, "px.A", "3")
	if got[0].Op != "fresh" {
		t.Errorf("told %+v", got)
	}
}

// An idle link does not count as broken.
func TestIdleLinkStays(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	h := broadcast.New(openConfig())
	l := startLoop(t, h.Shard(0))
	const ping = 500 * time.Millisecond // after two of them without an answer it would be broken
	runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, PingInterval: ping})
	awaitConnected(t, h)
	l.join(0, "px.A")
	idle := time.NewTimer(5 * ping) // the test waits for the absence of an event
	<-idle.C
	if st := h.Stats(); st.UpstreamReconnects != 0 || !st.UpstreamConnected {
		t.Errorf("stats: %+v", st)
	}
}

// nats.go gives up after errors that the guard does not know, and when its connection is closed. A new connection has the
// same subscriptions, and clients hear of the hole.
func TestConnectsAnew(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, result := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	l.join(0, "ord.A", "px.A")
	ns.Await(t, "SUB ord.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	n.conns[0].current().Close()
	l.awaitOp(t, 0, "stale")
	l.join(1, "px.B") // subscribed at the next connection
	l.awaitOp(t, 0, "gap")
	l.awaitOp(t, 0, "fresh")
	nc := natstest.Connect(t, ns.ClientURL())
	for _, topic := range []string{"ord.A", "px.A"} {
		send(t, nc, topic, "1")
		l.awaitData(t, 0, topic, "1")
	}
	send(t, nc, "px.B", "1")
	l.awaitData(t, 1, "px.B", "1")
	select {
	case err := <-result:
		t.Errorf("Run returned %v", err)
	default:
	}
}

// A stream goes on at the next connection, without a hole.
func TestStreamConnectsAnew(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js := natstest.CreateStream(t, natstest.Connect(t, ns.ClientURL()), jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	natstest.Store(t, js, "ord.A 1")
	node := startNode(t, []string{ns.ClientURL()}, orders)
	node.loop.join(0, "ord.A")
	node.loop.awaitData(t, 0, "ord.A", "1")
	node.nats.conns[0].current().Close()
	natstest.Store(t, js, "ord.A 2", "ord.A 3")
	for _, m := range node.loop.awaitData(t, 0, "ord.A", "3") {
		if m.Op == "gap" || string(m.D) == "3" && m.P != 2 {
			t.Errorf("told %+v", m)
		}
	}
}

// The hole of an outage stands between the earlier and the later messages. Messages that waited when the connection ended
// are earlier ones.
func TestHoleStandsWhereItWas(t *testing.T) {
	const before = 500
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 10}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, PendingMessages: 5000})
	awaitConnected(t, h)
	l.join(0, "ord.A")
	ns.Await(t, "SUB ord.A")
	n.flush(t)
	nc := natstest.Connect(t, ns.ClientURL())
	for range 20 {
		send(t, nc, "ord.A", "0")
		l.awaitData(t, 0, "ord.A", "0")
		release := busy(h) // input waits in the channel
		for range before {
			send(t, nc, "ord.A", "1")
		}
		n.flush(t)
		again := make(chan error, 1)
		go func() { again <- n.conns[0].current().ForceReconnect() }()
		release()
		if err := <-again; err != nil {
			t.Fatal(err)
		}
		ns.Await(t, "SUB ord.A")
		n.flush(t)
		send(t, nc, "ord.A", "2")
		ones, gap := 0, false
		for _, m := range l.awaitData(t, 0, "ord.A", "2") {
			switch {
			case m.Op == "gap":
				gap = true
			case m.Op == "" && string(m.D) == "1" && gap:
				t.Fatal("a message of before the outage came behind its gap")
			case m.Op == "" && string(m.D) == "1":
				ones++
			case m.Op == "" && m.P != 0:
				t.Fatalf("the first message behind the gap tells of the one before it: %+v", m)
			}
		}
		if !gap || ones != before {
			t.Fatalf("gap %v, %d messages before it", gap, ones)
		}
	}
}
