package upstream

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tickcast/broadcast/natstest"
)

// The table of subscriptions inside nats.go is found, and has all of them after it was made small.
func TestTableOfNATSBecomesSmall(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	nc := natstest.Connect(t, ns.ClientURL())
	table := tableOf(nc)
	if table.mu == nil {
		t.Fatal("nats.go has no such table: see subTable")
	}
	messages := make(chan *nats.Msg, 16)
	subs := make([]*nats.Subscription, 2000)
	for i := range subs {
		var err error
		if subs[i], err = nc.ChanSubscribe(fmt.Sprintf("px.%d", i), messages); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range subs[1:] {
		if err := s.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	before := *table.subs
	table.shrink()
	clear(before)
	if n := nc.NumSubscriptions(); n != 1 {
		t.Errorf("%d subscriptions are left", n)
	}
	send(t, nc, "px.0", "1")
	if m := <-messages; m.Subject != "px.0" {
		t.Errorf("got a message of %q", m.Subject)
	}
	nc.Close()
	table.shrink() // it has no map any more
}
