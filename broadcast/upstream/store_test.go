package upstream

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// A pub to a topic of a stream is acknowledged when the stream has the message, and refused with the reason of the stream.
func TestPubWaitsForTheStream(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js := natstest.CreateStream(t, natstest.Connect(t, ns.ClientURL()), jetstream.StreamConfig{
		Name: "ORD", Subjects: []string{"ord.*"}, MaxMsgs: 3, Discard: jetstream.DiscardNew,
	})
	cfg := openConfig()
	cfg.Publish = []string{">"}
	cfg.Classes = []topics.Class{{Match: "ord.>", Mode: topics.ModeAll, Snapshot: topics.SnapshotStream}}
	h := broadcast.New(cfg)
	l := startLoop(t, h.Shard(0))
	runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	l.join(0)
	pub := func(id int, topic string) told {
		t.Helper()
		l.do(func() {
			l.shard.Apply(0, fmt.Appendf(nil, `{"op":"pub","id":%d,"topic":"%s","data":%d}`, id, topic, id))
		})
		got := l.await(t, 0, "an answer", func(m told) bool { return string(m.ID) == fmt.Sprint(id) })
		return got[len(got)-1]
	}
	for id := range 3 {
		if m := pub(id, "ord.a"); m.Op != "ack" {
			t.Fatalf("told %+v", m)
		}
		s, err := js.Stream(t.Context(), "ORD")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := s.GetLastMsgForSubject(t.Context(), "ord.a"); err != nil || string(m.Data) != fmt.Sprint(id) {
			t.Errorf("acknowledged, but the stream has %v, %v", m, err)
		}
	}
	if m := pub(3, "ord.a"); m.Op != "err" || m.Code != wire.CodeNotAvailable || !strings.Contains(m.Msg, "maximum messages exceeded") {
		t.Errorf("a full stream: %+v", m)
	}
	if m := pub(4, "ord.a.b"); m.Op != "err" || m.Code != wire.CodeNotAvailable || !strings.Contains(m.Msg, "no stream") {
		t.Errorf("no stream: %+v", m)
	}
	if m := pub(5, "chat.a"); m.Op != "ack" {
		t.Errorf("without a stream: %+v", m)
	}
	l.do(func() { // as many as wait at once, and one that leaves before the answers
		for id := range 200 {
			l.shard.Apply(0, fmt.Appendf(nil, `{"op":"pub","id":%d,"topic":"ord.a","data":1}`, 100+id))
		}
		l.shard.Leave(0)
	})
	l.join(0)
	if m := pub(6, "ord.a"); m.Op != "err" {
		t.Errorf("told %+v", m)
	}
	l.do(func() {
		if err := l.shard.Check(); err != nil {
			t.Error(err)
		}
	})
}

// JetStream that does not answer holds up the check of the streams for as long as its context, however many streams there are.
func TestCheckOfStreamsEnds(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	asked := make(chan struct{}, 100)
	nc := natstest.Connect(t, ns.ClientURL())
	if _, err := nc.Subscribe("$JS.API.>", func(*nats.Msg) { asked <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	h := broadcast.New(openConfig())
	n, _ := runUpstream(t, h, Config{URLs: []string{ns.ClientURL()}})
	awaitConnected(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if err := n.CheckStreams(ctx, make([]topics.StreamSource, 50)); err != nil {
		t.Error(err)
	}
	if more := len(asked); more > 0 {
		t.Errorf("%d more streams were asked for", more)
	}
}
