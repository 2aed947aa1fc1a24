package loadtest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Ledger counts what the clients received.
type Ledger struct {
	Messages uint64 // whole text and binary messages
	Data     uint64 // those of them that carry a topic's data (and not an ack, an error, a heartbeat ...)
	Bytes    uint64 // payload bytes of all messages
}

// Totals is a snapshot of a [Fleet].
type Totals struct {
	Conns   int // to be opened
	Started int // connect(2) called
	Open    int // between the server's 101 and the end
	Opened  int // have ever been open
	Failed  int // ended before they were open
	Lost    int // ended after they were open, and not by the fleet
	Acked   int // clients whose first subscription the server acknowledged without an error

	Subscribed int // open and acknowledged now
	Reopened   int // connections that were opened again
	Left       int // ended by the fleet, to be opened again
	Away       int // of those that left in a storm, not yet subscribed again
	Dismissed  int // slow and half-open clients that the server ended

	Ledger
	Pings    uint64 // answered with a pong
	LastData int64  // when the last data message was read; nanoseconds of CLOCK_MONOTONIC, 0 if none

	Faults map[Fault]int // what went wrong, and how often
}

// add adds a worker's part to t, but for the faults.
func (t *Totals) add(o *Totals) {
	t.Started += o.Started
	t.Open += o.Open
	t.Opened += o.Opened
	t.Failed += o.Failed
	t.Lost += o.Lost
	t.Acked += o.Acked
	t.Subscribed += o.Subscribed
	t.Reopened += o.Reopened
	t.Left += o.Left
	t.Away += o.Away
	t.Dismissed += o.Dismissed
	t.Messages += o.Messages
	t.Data += o.Data
	t.Bytes += o.Bytes
	t.Pings += o.Pings
	t.LastData = max(t.LastData, o.LastData)
}

// FaultList returns the faults as text, the most frequent first: "refused x12, status 503 x3"; "none" if there are none.
func (t *Totals) FaultList() string {
	type row struct {
		text string
		n    int
	}
	var rows []row
	for fault, n := range t.Faults {
		rows = append(rows, row{fault.String(), n})
	}
	if len(rows) == 0 {
		return "none"
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return strings.Compare(a.text, b.text)
	})
	var list []string
	for _, r := range rows {
		list = append(list, fmt.Sprintf("%s x%d", r.text, r.n))
	}
	return strings.Join(list, ", ")
}

// FaultKind says what went wrong with a client.
type FaultKind uint8

const (
	FaultConnect   FaultKind = iota + 1 // connect(2) failed for another reason than refusal; Code is the errno
	FaultRefused                        // connection refused
	FaultTimeout                        // not open within FleetConfig.Timeout
	FaultStatus                         // the server answered the upgrade with Code, an HTTP status other than 101
	FaultHandshake                      // the server's answer is not a valid opening handshake
	FaultReset                          // the connection broke off: Code is the errno
	FaultEOF                            // the server ended the connection without a close frame
	FaultClosed                         // the server closed with status code Code
	FaultProtocol                       // the server broke RFC 6455; Code is the status code it was closed with
	FaultSubscribe                      // the server did not grant the subscription; the connection lives on
	FaultBacklog                        // the server does not read: too many bytes for it are waiting
	FaultTLS                            // the TLS handshake failed, or what came was not what TLS allows
)

var faultNames = [...]string{
	FaultConnect: "connect", FaultRefused: "refused", FaultTimeout: "timeout", FaultStatus: "status",
	FaultHandshake: "handshake", FaultReset: "reset", FaultEOF: "eof", FaultClosed: "closed",
	FaultProtocol: "protocol", FaultSubscribe: "subscribe", FaultBacklog: "backlog", FaultTLS: "tls",
}

// A Fault is a kind of error and the number that goes with it, if one does. It is comparable.
type Fault struct {
	Kind FaultKind
	Code int
}

// String returns the kind's name and the code, if there is one: "refused", "closed 1012", "reset ECONNRESET".
func (f Fault) String() string {
	name := "unknown"
	if int(f.Kind) < len(faultNames) && f.Kind != 0 {
		name = faultNames[f.Kind]
	}
	switch {
	case f.Code == 0:
		return name
	case f.Kind == FaultConnect || f.Kind == FaultReset:
		return name + " " + unix.ErrnoName(unix.Errno(f.Code))
	}
	return name + " " + strconv.Itoa(f.Code)
}

// A tally is a number that only grows and that others can wait for.
type tally struct {
	n    atomic.Int64
	next atomic.Int64 // the smallest number waited for, 0 if none

	mu      sync.Mutex
	waiting []tallyWait
}

type tallyWait struct {
	n       int64
	reached chan struct{}
}

// add adds d. Its cost without a waiter is two atomic operations.
func (t *tally) add(d int) {
	n := t.n.Add(int64(d))
	if next := t.next.Load(); next != 0 && n >= next {
		t.mu.Lock()
		t.release()
		t.mu.Unlock()
	}
}

// release lets those go whose number is reached. The caller holds mu.
func (t *tally) release() {
	n, next := t.n.Load(), int64(0)
	t.waiting = slices.DeleteFunc(t.waiting, func(w tallyWait) bool {
		if n >= w.n {
			close(w.reached)
			return true
		}
		if next == 0 || w.n < next {
			next = w.n
		}
		return false
	})
	t.next.Store(next)
}

// wait returns nil once the tally is at least n, or ctx's error.
func (t *tally) wait(ctx context.Context, n int64) error {
	w := tallyWait{n, make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	if next := t.next.Load(); next == 0 || n < next {
		t.next.Store(n)
	}
	// Subtle: only after next is set is n looked at; an add in between either sees next or is seen here.
	t.release()
	t.mu.Unlock()
	select {
	case <-w.reached:
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		t.waiting = slices.DeleteFunc(t.waiting, func(o tallyWait) bool { return o.reached == w.reached })
		t.release()
		t.mu.Unlock()
		return ctx.Err()
	}
}
