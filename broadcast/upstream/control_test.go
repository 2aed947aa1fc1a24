package upstream

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/broadcast"
	"tickcast/broadcast/natstest"
)

// Messages for the servers themselves arrive after nats.go has closed its connection for good, as before.
func TestControlOutlivesTheConnection(t *testing.T) {
	ns := natstest.Start(t, &server.Options{Port: -1})
	heard := make(chan string, 1000)
	h := broadcast.New(openConfig())
	n, _ := runUpstream(t, h, Config{
		URLs: []string{ns.ClientURL()}, Control: "_tick.control", OnControl: func(data []byte) { heard <- string(data) },
	})
	awaitConnected(t, h)
	expect := func(text string) {
		t.Helper()
		if err := n.Control([]byte(text)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if got != text {
				t.Fatalf("heard %q, want %q", got, text)
			}
		case <-time.After(patience):
			t.Fatalf("%q is not heard", text)
		}
	}
	expect("1")
	before := n.conns[0].current()
	before.Close()
	for deadline := time.Now().Add(patience); n.conns[0].current() == before || !n.conns[0].current().IsConnected(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no new connection")
		}
	}
	expect("2")
}
