package loadtest

import (
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/loadtest/fleet"
	"tickcast/wsproto"
)

// runClean carries a plan out against a feed and fails the test unless the run is clean.
func runClean(t *testing.T, plan Plan) *Report {
	t.Helper()
	r := runFeed(t, &badFeed{}, plan)
	if !r.Clean || r.Deliveries.Received != r.Deliveries.Expected || r.Deliveries.Received == 0 {
		t.Errorf("reasons %q, deliveries %+v", r.Reasons, r.Deliveries)
	}
	return r
}

// Clients that leave all the time come back, and the last ones before the end do too.
func TestRunChurns(t *testing.T) {
	const conns = 50
	r := runClean(t, Plan{
		Fleet: fleet.Config{Conns: conns}, Processes: 2, Lossless: true, Churn: 2000, Hold: 2 * time.Second,
		Publish: PublishPlan{Rate: 1000, Payload: 128},
	})
	if c := r.Connections; c.Open != conns || c.Lost != 0 || c.Reopened < 100 {
		t.Errorf("connections %+v", c)
	}
	i := slices.IndexFunc(r.Cohorts, func(c Cohort) bool { return c.Name == "churn" })
	if i < 0 || r.Cohorts[i].Clients != r.Connections.Reopened {
		t.Errorf("cohorts %+v, reopened %d", r.Cohorts, r.Connections.Reopened)
	}
}

// All clients of a storm come back, and the report has the time that each storm took.
func TestRunStorms(t *testing.T) {
	const conns = 50
	r := runClean(t, Plan{
		Fleet: fleet.Config{Conns: conns}, Processes: 2, Lossless: true,
		Storms:  []Storm{{Share: 1}, {Share: 0.5, After: 200 * time.Millisecond}},
		Publish: PublishPlan{Rate: 1000, Messages: 300, Payload: 128, Early: true},
	})
	if c := r.Connections; c.Open != conns || c.Lost != 0 || c.Reopened < conns || c.Reopened > 2*conns {
		t.Errorf("connections %+v", c)
	}
	if len(r.Cohorts) != 2 || r.Cohorts[0].Clients != conns {
		t.Fatalf("cohorts %+v", r.Cohorts)
	}
	for _, c := range r.Cohorts {
		// A shorter time is possible between two system calls, but not for a handshake.
		if c.Clients > 0 && (c.Seconds < 100e-6 || !strings.HasPrefix(c.Note, "all back and subscribed after ")) {
			t.Errorf("cohort %+v", c)
		}
	}
}

// A run detects a server that forgets clients after they come back.
func TestRunMissesSubscriptions(t *testing.T) {
	const conns = 20
	r := runFeed(t, &badFeed{deaf: conns + 5}, Plan{
		Fleet: fleet.Config{Conns: conns}, Storms: []Storm{{Share: 1}}, Settle: 3 * time.Second,
		Publish: PublishPlan{Rate: 1000, Messages: 10, Payload: 128},
	})
	const want = "15 clients that came back were not subscribed again"
	if strings.Join(r.Reasons, "; ") != want || r.Cohorts[0].Note != "not all came back" {
		t.Errorf("reasons %q, cohorts %+v", r.Reasons, r.Cohorts)
	}
}

// A client that leaves comes back at once, not when the next one leaves.
func TestChurnComesBack(t *testing.T) {
	url, _ := serveFeed(t, &badFeed{})
	f, err := fleet.Start(testContext(t), fleet.Config{URL: url, Conns: 10, Workers: 1, Topics: []string{"load.A"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.WaitSubscribed(testContext(t)); err != nil {
		t.Fatal(err)
	}
	f.Churn(0.001) // the next one in 1,000 s
	for end := time.Now().Add(30 * time.Second); f.Totals().Reopened < 1; {
		if time.Now().After(end) {
			t.Fatalf("totals %+v", f.Totals())
		}
		time.Sleep(time.Millisecond)
	}
	if got := f.Totals(); got.Left != 1 || got.Open != 10 || got.Lost != 0 {
		t.Errorf("totals %+v", got)
	}
}

// The server owes slow and half-open clients no message, and their end is no fault.
func TestRunWithCohorts(t *testing.T) {
	const conns, messages = 200, 300
	r := runClean(t, Plan{
		Fleet: fleet.Config{Conns: conns, Slow: 0.2, HalfOpen: 0.2}, Processes: 2, Lossless: true,
		Publish: PublishPlan{Rate: 1000, Messages: messages, Payload: 128},
	})
	if len(r.Cohorts) != 1 || r.Cohorts[0].Name != "slow and half-open" {
		t.Fatalf("cohorts %+v", r.Cohorts)
	}
	readers := conns - r.Cohorts[0].Clients
	if readers < conns*4/10 || readers > conns*8/10 || r.Deliveries.Received != uint64(readers*messages) {
		t.Errorf("%d readers, deliveries %+v", readers, r.Deliveries)
	}
}

// The note on a storm distinguishes a storm without clients, one with lost clients, and one from which no client came back.
func TestRunTellsStormsApart(t *testing.T) {
	const conns = 10
	for _, tt := range []struct {
		share  float64
		served int32 // connections that are not cut off
		want   string
		took   bool
	}{
		{1e-9, conns, "it met no client", false},
		{1, conns, "none came back", false},
		{1, conns + 6, "but for 4 connections lost", true},
	} {
		var served atomic.Int32
		url := serveRaw(t, func(c *net.TCPConn, key []byte) {
			if served.Add(1) > tt.served {
				return
			}
			c.Write(upgrade(key))
			readMessage(c)
			c.Write(wsproto.AppendFrame(nil, wsproto.OpText, []byte(ackMessage)))
			drain(c)
		})
		run, err := NewRun(testContext(t), Plan{
			Fleet: fleet.Config{URL: url, Conns: conns, Topics: []string{"load.A"}}, Hold: 300 * time.Millisecond,
			Storms: []Storm{{Share: tt.share}}, Settle: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := run.Do(testContext(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := r.Cohorts[0]; !strings.HasSuffix(c.Note, tt.want) || c.Seconds > 0 != tt.took || c.Seconds < 0 {
			t.Errorf("cohort %+v, want %q; reasons %q", c, tt.want, r.Reasons)
		}
	}
}

// A run detects that a server without answers forgot subscriptions while messages flowed.
func TestRunFindsSilence(t *testing.T) {
	const conns = 10
	natsURL := startNATS(t).ClientURL()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	served := make(chan *net.TCPConn, 1) // the only client that gets messages
	var client *net.TCPConn
	if _, err := nc.Subscribe("load.A", func(m *nats.Msg) {
		if client == nil {
			client = <-served
		}
		client.Write(wsproto.AppendFrame(nil, wsproto.OpText, m.Data))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	url := serveRaw(t, func(c *net.TCPConn, key []byte) {
		c.Write(upgrade(key))
		readMessage(c)
		select {
		case served <- c:
		default:
		}
		drain(c)
	})
	run, err := NewRun(testContext(t), Plan{
		Fleet: fleet.Config{URL: url, Conns: conns, Topics: []string{"load.A"}, Subscribe: "hello", Ramp: 50},
		Hold:  1300 * time.Millisecond, Settle: 2 * time.Second, Lossless: true,
		Publish: PublishPlan{URL: natsURL, Rate: 200, Payload: 128, Early: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := run.Do(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.DeleteFunc(r.Reasons, wasBusy), "; "); !strings.HasSuffix(got, " subscriptions brought nothing") {
		t.Errorf("clean %v, reasons %q, deliveries %+v", r.Clean, r.Reasons, r.Deliveries)
	}
}
