package fleet

import (
	"context"
	"sync"
	"testing"

	"tickcast/wsproto"
)

func TestFaultString(t *testing.T) {
	for f, want := range map[Fault]string{
		{}:                   "unknown",
		{Kind: FaultRefused}: "refused",
		{FaultStatus, 503}:   "status 503",
		{FaultConnect, 99}:   "connect EADDRNOTAVAIL",
		{FaultReset, 104}:    "reset ECONNRESET",
		{FaultClosed, 4503}:  "closed 4503",
		{Kind: FaultBacklog}: "backlog",
		{Kind: FaultTLS}:     "tls",
		{Kind: FaultTLS + 1}: "unknown",
		{FaultProtocol, int(wsproto.StatusProtocolError)}: "protocol 1002",
	} {
		if got := f.String(); got != want {
			t.Errorf("%d, %d: %q, want %q", f.Kind, f.Code, got, want)
		}
	}
}

func TestFaultList(t *testing.T) {
	totals := Totals{Faults: map[Fault]int{{Kind: FaultTimeout}: 1, {FaultStatus, 503}: 7, {Kind: FaultEOF}: 1}}
	if got, want := totals.FaultList(), "status 503 x7, eof x1, timeout x1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&Totals{}).FaultList(); got != "none" {
		t.Errorf("no faults: %q", got)
	}
}

// A wait ends once its number is reached, also if this happens while the wait begins.
func TestTally(t *testing.T) {
	ctx := testContext(t)
	var n tally
	const adders, each = 4, 500
	var waits, adds sync.WaitGroup
	for at := range adders*each + 1 {
		if at%50 != 0 {
			continue
		}
		waits.Go(func() {
			if err := n.wait(ctx, int64(at)); err != nil {
				t.Errorf("wait for %d: %v", at, err)
			}
			if got := n.n.Load(); got < int64(at) {
				t.Errorf("released at %d, want %d", got, at)
			}
		})
	}
	for range adders {
		adds.Go(func() {
			for range each {
				n.add(1)
			}
		})
	}
	adds.Wait()
	waits.Wait()
	if left := len(n.waiting); left != 0 {
		t.Errorf("%d still wait", left)
	}
}

func TestTallyWaitEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var n tally
	if err := n.wait(ctx, 1); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if len(n.waiting) != 0 || n.next.Load() != 0 {
		t.Error("the wait was left behind")
	}
	n.add(1)
	if err := n.wait(testContext(t), 1); err != nil {
		t.Error(err)
	}
}
