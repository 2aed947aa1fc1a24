package broadcast

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Without a stream a NATS server that restarts leaves a hole, which subscribers of lossless topics are told of, and which no
// cursor from before bridges.
func TestNATSRestartIsAGap(t *testing.T) {
	ns := startNATS(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Classes = []Class{{Match: "ord.>", Mode: ModeAll, History: 100}}
	h := NewHub(cfg)
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, NATSConfig{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	l.join(0, "ord.A", "px.A")
	ns.await(t, "SUB ord.A")
	ns.await(t, "SUB px.A")
	n.flush(t)
	send(t, publisher(t, ns.ClientURL()), "ord.A", "1")
	before := l.awaitData(t, 0, "ord.A", "1")
	epoch, port := *h.epoch.Load(), ns.port()
	ns.stop()
	l.awaitOp(t, 0, "stale")
	ns = startNATS(t, &server.Options{Port: port})
	if got := l.awaitOp(t, 0, "gap"); got[len(got)-1].T != "ord.A" {
		t.Errorf("told %+v", got)
	}
	ns.await(t, "SUB ord.A")
	n.flush(t)
	send(t, publisher(t, ns.ClientURL()), "ord.A", "2")
	l.awaitData(t, 0, "ord.A", "2")
	seq := before[len(before)-1].S
	l.do(func() {
		l.shard.Apply(0, fmt.Appendf(nil, `{"op":"sub","topics":["ord.A"],"after":"%s:%d"}`, epoch, seq))
	})
	got := l.awaitOp(t, 0, "ack")
	if want := fmt.Sprintf(`[{"t":"ord.A","mode":"all","cursor":"%s:2","recovered":false}]`, *h.epoch.Load()); string(got[len(got)-1].Topics) != want {
		t.Errorf("answered %s, want %s", got[len(got)-1].Topics, want)
	}
}

// Subjects are dealt out to the connections, and keep their order.
func TestSeveralConnections(t *testing.T) {
	const topics, messages = 20, 50
	ns := startNATS(t, &server.Options{Port: -1})
	h := NewHub(openConfig())
	l := startLoop(t, h.Shard(0))
	n, _ := runUpstream(t, h, NATSConfig{URLs: []string{ns.ClientURL()}, Connections: 3})
	awaitConnected(t, h)
	var names []string
	for i := range topics {
		names = append(names, "px."+strconv.Itoa(i))
	}
	l.join(0, names...)
	for range topics {
		ns.await(t, "SUB")
	}
	for _, c := range n.conns {
		if err := c.nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		if len(c.subscriptions) == 0 || len(c.subscriptions) == topics {
			t.Errorf("connection %d has %d of %d subscriptions", c.index, len(c.subscriptions), topics)
		}
		c.mu.Unlock()
	}
	nc := publisher(t, ns.ClientURL())
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
	for range topics * messages {
		got := l.await(t, 0, "a message", func(m told) bool { return m.Op == "" })
		m := got[len(got)-1]
		if string(m.D) != strconv.Itoa(next[m.T]) {
			t.Fatalf("%s came after %d others of that topic", m.short(), next[m.T])
		}
		next[m.T]++
	}
}
