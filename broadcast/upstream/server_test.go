package upstream

import (
	"context"
	"strings"
	"testing"
	"tickcast/broadcast"
	"tickcast/broadcast/topics"
	"time"
)

// runUpstream connects a hub and runs it until the test ends. The channel holds what Run returned.
func runUpstream(t *testing.T, h *broadcast.Shards, cfg Config) (*NATS, <-chan error) {
	t.Helper()
	if cfg.ReconnectWait == 0 {
		cfg.ReconnectWait = 5 * time.Millisecond
	}
	n, err := Connect(h.Hub, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- n.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return n, result
}

// flush waits until NATS has read all lines that n has sent so far.
func (n *NATS) flush(t *testing.T) {
	t.Helper()
	if err := n.conns[0].current().FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
}

// awaitConnected waits until the hub knows of its connection: nats.go reports it on a goroutine of its own, perhaps after
// the first messages.
func awaitConnected(t *testing.T, h *broadcast.Shards) {
	t.Helper()
	for deadline := time.Now().Add(patience); !h.Stats().UpstreamConnected; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("upstream is not told to be connected")
		}
	}
}

// epochOf returns the first half of the cursors of a topic.
func epochOf(h *broadcast.Shards, topic string) string {
	epoch, _, _ := strings.Cut(h.Cursor(h.ClassOver(topic), topics.Position{}), ":")
	return epoch
}
