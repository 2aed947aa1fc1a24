package loadtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tickcast/loadtest/fleet"
)

// A server that speaks another protocol and puts several messages into a frame: the WebSocket listener of nats-server.
func TestRunAgainstNATS(t *testing.T) {
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
		Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS server does not start")
	}
	plan := Plan{
		Fleet: fleet.Config{
			URL: ns.WebsocketURL() + "/", Conns: 40, Topics: []string{"load.A", "load.B", "load.C", "load.D"},
			Subscribe:    "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB {topic} 1\r\nPING\r\n",
			Ack:          "PONG\r\n",
			Answer:       "PING\r\n",
			AnswerWith:   "PONG\r\n",
			Subprotocols: []string{},
		},
		Lossless: true,
		Publish:  PublishPlan{URL: ns.ClientURL(), Rate: 10_000, Messages: 4000},
	}
	r := paced(t, func() *Report {
		ctx := testContext(t)
		run, err := NewRun(ctx, plan)
		if err != nil {
			t.Fatal(err)
		}
		r, err := run.Do(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
	if !r.Clean || r.Deliveries.Received != 40*1000 {
		t.Errorf("reasons %q, deliveries %+v, faults %v", r.Reasons, r.Deliveries, fmt.Sprint(r.Connections.Faults))
	}
}
