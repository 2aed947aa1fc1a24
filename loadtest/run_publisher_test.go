package loadtest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"tickcast/loadtest/fleet"
)

// publisherRun carries a plan out against a feed, whose NATS server is not the plan's.
func publisherRun(t *testing.T, ctx context.Context, hold time.Duration, natsURL string, show func(Progress)) *Report {
	t.Helper()
	url, _ := serveFeed(t, &badFeed{})
	return paced(t, func() *Report {
		run, err := NewRun(testContext(t), Plan{
			Fleet: fleet.Config{URL: url, Conns: 2, Topics: []string{"load.A"}}, Hold: hold, Settle: 200 * time.Millisecond,
			Publish: PublishPlan{URL: natsURL, Rate: 10},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := run.Do(ctx, show)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// A run does not wait for a publisher that gave up.
func TestRunEndsWithItsPublisher(t *testing.T) {
	begun := time.Now()
	r := publisherRun(t, testContext(t), time.Minute, "nats://%zz", nil)
	if len(r.Reasons) == 0 || !strings.HasPrefix(r.Reasons[0], "loadtest: connect to NATS: ") || time.Since(begun) > 20*time.Second {
		t.Errorf("%q after %v", r.Reasons, time.Since(begun))
	}
}

// A run whose publisher sent no message, since the NATS server is silent, is not clean.
func TestRunPublishesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := publisherRun(t, testContext(t), 50*time.Millisecond, "nats://"+ln.Addr().String(), nil)
	if strings.Join(r.Reasons, "; ") != "nothing was published" {
		t.Errorf("clean %v, reasons %q", r.Clean, r.Reasons)
	}
}

// A run that is interrupted before its publishing phase does not publish.
func TestRunInterruptedBeforePublishing(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	r := publisherRun(t, ctx, time.Minute, "nats://127.0.0.1:1", func(p Progress) { cancel() })
	if r.Publisher.URL != "" {
		t.Errorf("publisher %+v, reasons %q", r.Publisher, r.Reasons)
	}
}

// Messages that could not be published without NATS are reported as such, and are not missing at the clients.
func TestRunWithoutNATS(t *testing.T) {
	r := publisherRun(t, testContext(t), time.Second, "nats://127.0.0.1:1", nil)
	if len(r.Reasons) != 1 || !strings.HasSuffix(r.Reasons[0], " messages not taken by NATS") {
		t.Errorf("reasons %q, deliveries %+v", r.Reasons, r.Deliveries)
	}
}
