package upstream

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
)

// Without a stream a restart of the NATS server leaves a hole. Subscribers of lossless topics hear a gap, and a cursor from
// before the hole cannot recover across it.
func TestNATSRestartIsAGap(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 100}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	l.join(0, "ord.A", "px.A")
	ns.Await(t, "SUB ord.A")
	ns.Await(t, "SUB px.A")
	n.flush(t)
	send(t, natstest.Connect(t, ns.ClientURL()), "ord.A", "1")
	before := l.awaitData(t, 0, "ord.A", "1")
	epoch, port := epochOf(h, "ord.A"), ns.Port()
	ns.Stop()
	l.awaitOp(t, 0, "stale")
	ns = natstest.Start(t, &server.Options{Port: port})
	if got := l.awaitOp(t, 0, "gap"); got[len(got)-1].T != "ord.A" {
		t.Errorf("told %+v", got)
	}
	ns.Await(t, "SUB ord.A")
	n.flush(t)
	send(t, natstest.Connect(t, ns.ClientURL()), "ord.A", "2")
	l.awaitData(t, 0, "ord.A", "2")
	seq := before[len(before)-1].S
	l.do(func() {
		l.shard.Apply(0, fmt.Appendf(nil, `{"op":"sub","topics":["ord.A"],"after":"%s:%d"}`, epoch, seq))
	})
	got := l.awaitOp(t, 0, "ack")
	if want := fmt.Sprintf(`[{"t":"ord.A","mode":"all","cursor":"%s:3","recovered":false}]`, epochOf(h, "ord.A")); string(got[len(got)-1].Topics) != want {
		t.Errorf("answered %s, want %s", got[len(got)-1].Topics, want)
	}
}

// Subjects are spread over the connections, and keep their order.
func TestSeveralConnections(t *testing.T) {
	const subjects, messages = 20, 50
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Classes = []topics.Class{{Match: ">", Mode: topics.ModeAll}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}, Connections: 3})
	awaitConnected(t, h)
	var names []string
	for i := range subjects {
		names = append(names, "px."+strconv.Itoa(i))
	}
	l.join(0, names...)
	for range subjects {
		ns.Await(t, "SUB")
	}
	for i, c := range n.conns {
		if err := c.current().FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		if len(c.subscriptions) == 0 || len(c.subscriptions) == subjects {
			t.Errorf("connection %d has %d of %d subscriptions", i, len(c.subscriptions), subjects)
		}
		c.mu.Unlock()
	}
	nc := natstest.Connect(t, ns.ClientURL())
	for i := range messages {
		for _, name := range names {
			if err := nc.Publish(name, strconv.AppendInt(nil, int64(i), 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	next := make(map[string]int)
	for range subjects * messages {
		got := l.await(t, 0, "a message", func(m told) bool { return m.Op == "" })
		m := got[len(got)-1]
		if string(m.D) != strconv.Itoa(next[m.T]) {
			t.Fatalf("%s came after %d others of that topic", m.Short(), next[m.T])
		}
		next[m.T]++
	}
}
