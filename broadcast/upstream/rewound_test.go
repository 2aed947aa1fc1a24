package upstream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/broadcast/natstest"
)

// A stream that was restored from a copy has lost its newest messages. Clients are told of a hole, hear its messages from then on, and
// the cursors of before are not recovered.
func TestStreamRestoredFromACopy(t *testing.T) {
	dir, saved := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	opts := server.Options{Port: natstest.FreePorts(t, 1)[0], JetStream: true, StoreDir: dir}
	ns := natstest.Start(t, &opts)
	js := natstest.CreateStream(t, natstest.Connect(t, ns.ClientURL()), jetstream.StreamConfig{Name: "O", Subjects: []string{"ord.>"}, AllowDirect: true})
	natstest.Store(t, js, "ord.A 1", "ord.A 2", "ord.B 3")
	again := func() {
		next := server.Options{Port: opts.Port, JetStream: true, StoreDir: dir}
		ns = natstest.Start(t, &next)
		var err error
		if js, err = jetstream.New(natstest.Connect(t, ns.ClientURL())); err != nil {
			t.Fatal(err)
		}
	}
	ns.Stop()
	if err := os.CopyFS(saved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	again()
	natstest.Store(t, js, "ord.A 4", "ord.A 5")
	node := startNode(t, []string{ns.ClientURL()}, orders)
	l := node.loop
	l.join(0, "ord.A")
	l.awaitData(t, 0, "ord.A", "5")
	epoch := epochOf(node.hub, "ord.A")
	ns.Stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(saved)); err != nil {
		t.Fatal(err)
	}
	again()
	l.awaitOp(t, 0, "gap")
	l.awaitOp(t, 0, "fresh")
	natstest.Store(t, js, "ord.A 6") // again with the sequence 4
	l.awaitData(t, 0, "ord.A", "6")
	l.join(1)
	l.do(func() { l.shard.Subscribe(1, []string{"ord.A", "ord.B"}, epoch+":4", "") })
	for _, m := range l.awaitOp(t, 1, "ack") {
		if m.Op == "ack" && !strings.Contains(string(m.Topics), `"recovered":false`) {
			t.Errorf("told %s", m.Topics)
		}
	}
	l.awaitData(t, 1, "ord.B", "3") // snapshots come in the order of their sequences
	l.awaitData(t, 1, "ord.A", "6")
	if now := epochOf(node.hub, "ord.A"); now == epoch {
		t.Errorf("the epoch is still %s", now)
	}
}
