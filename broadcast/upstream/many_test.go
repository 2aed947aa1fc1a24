package upstream

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// One client subscribes to 10,000 topics of a stream in ten commands: all are answered without an error.
func TestManyStreamTopicsOfOneClient(t *testing.T) {
	const commands, each = 10, 1000
	ns := natstest.Start(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js := natstest.CreateStream(t, natstest.Connect(t, ns.ClientURL()), jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	natstest.Store(t, js, "ord.1 1", "ord.2 2")
	cfg := broadcast.Config{Config: topics.Config{Classes: []topics.Class{orders}}, Subscribe: []string{">"}, MaxTopicsPerConnection: commands * each}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	l.join(0)
	l.awaitOp(t, 0, "hello")
	for c := range commands {
		var names []string
		for i := range each {
			names = append(names, fmt.Sprintf("ord.%d", c*each+i))
		}
		command, err := json.Marshal(wire.Command{Op: "sub", Topics: names})
		if err != nil {
			t.Fatal(err)
		}
		l.do(func() { l.shard.Apply(0, command) })
	}
	for range commands {
		got := l.await(t, 0, "the last page", func(m told) bool { return m.Op == "ack" && !m.More })
		if m := got[len(got)-1]; len(m.Errors) > 0 {
			t.Fatalf("%d topics failed: %+v", len(m.Errors), m.Errors[0])
		}
	}
	if st := h.Stats(); st.Subscriptions != commands*each {
		t.Errorf("%d subscriptions", st.Subscriptions)
	}
}
