package upstream

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
)

// A client holds a topic through one subscription after the other. Each end of a subscription gives the topic to another one of
// the same connection, and no message is lost or doubled, whatever its place beside the end.
func TestEndOfASubscription(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	cfg := openConfig()
	cfg.Linger = time.Millisecond
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, History: 100}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	names := []string{"ord.A", "ord.*", "ord.>", "*.A"}
	l.join(0, names[0])
	l.awaitOp(t, 0, "ack")
	ns.Await(t, "SUB "+names[0])
	nc := natstest.Connect(t, ns.ClientURL())
	sent, got := 0, 0
	say := func() {
		sent++
		send(t, nc, "ord.A", strconv.Itoa(sent))
		for _, m := range l.await(t, 0, "message "+strconv.Itoa(sent), func(m told) bool { return m.K == "" && string(m.D) == strconv.Itoa(sent) }) {
			switch n, _ := strconv.Atoi(string(m.D)); {
			case m.Op == "gap":
				t.Fatalf("a gap before %d", sent)
			case m.Op != "" || m.K == "snap":
			case n != got+1:
				t.Fatalf("%d came after %d", n, got)
			default:
				got = n
			}
		}
	}
	for i := range 40 {
		next, now := names[(i+1)%len(names)], names[i%len(names)]
		say()
		l.do(func() { l.shard.Subscribe(0, []string{next}, "", "") })
		ns.Await(t, "SUB "+next)
		say()
		l.do(func() { l.shard.Apply(0, fmt.Appendf(nil, `{"op":"unsub","topics":[%q]}`, now)) })
		for range 1 + i%4 { // the end comes among them
			say()
		}
		ns.Await(t, "UNSUB")
	}
}

// A message of a subscription that has ended, which was in the channel then, does not count for a later one to the same subject.
func TestMessageBehindTheEndOfItsSubscription(t *testing.T) {
	nc := natstest.Connect(t, natstest.Start(t, &server.Options{Port: -1}).ClientURL())
	sub, err := nc.SubscribeSync("px.a")
	if err != nil {
		t.Fatal(err)
	}
	hub := topics.New(topics.Config{})
	c := newConn(hub, Config{PendingMessages: 4})
	c.nc, c.subscriptions[sub.Subject] = nc, sub
	m := &nats.Msg{Subject: sub.Subject, Sub: sub}
	c.take(m)
	c.messages <- m
	if _, err := c.end(sub.Subject); err != nil {
		t.Fatal(err)
	}
	c.take(<-c.messages)
	if n := hub.Stats().UpstreamMessages; n != 1 {
		t.Errorf("the hub was given %d messages, want that of before the end", n)
	}
}
