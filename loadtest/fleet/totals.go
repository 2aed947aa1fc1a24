package fleet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FaultKind is a kind of error of a client.
type FaultKind uint8

const (
	FaultConnect   FaultKind = iota + 1 // connect(2) failed for another reason than refusal; Code is the errno
	FaultRefused                        // connection refused
	FaultTimeout                        // not open within Config.Timeout
	FaultStatus                         // the server answered the upgrade with Code, an HTTP status other than 101
	FaultHandshake                      // the server's answer is not a valid opening handshake
	FaultReset                          // the connection broke off: Code is the errno
	FaultEOF                            // the server ended the connection without a close frame
	FaultClosed                         // the server closed with status code Code
	FaultProtocol                       // the server broke RFC 6455; Code is the status code it was closed with
	FaultSubscribe                      // the server did not grant the subscription; the connection stays open
	FaultBacklog                        // the server does not read: too many bytes for it are waiting
	FaultTLS                            // the TLS handshake failed, or the server broke TLS
)

var faultNames = [...]string{
	FaultConnect: "connect", FaultRefused: "refused", FaultTimeout: "timeout", FaultStatus: "status",
	FaultHandshake: "handshake", FaultReset: "reset", FaultEOF: "eof", FaultClosed: "closed",
	FaultProtocol: "protocol", FaultSubscribe: "subscribe", FaultBacklog: "backlog", FaultTLS: "tls",
}

// A Fault is a kind of error, and its number if it has one. It is comparable.
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

// ioFault returns the fault for an error of read(2) or write(2).
func ioFault(err error) Fault {
	errno, _ := err.(unix.Errno)
	return Fault{FaultReset, int(errno)}
}

// connectFault returns the fault for an error of connect(2) or of a call that prepares it.
func connectFault(err error) Fault {
	errno, _ := err.(unix.Errno)
	if errno == unix.ECONNREFUSED {
		return Fault{Kind: FaultRefused}
	}
	return Fault{FaultConnect, int(errno)}
}

// A Ledger counts the messages that the clients received.
type Ledger struct {
	Messages uint64 // whole text and binary messages
	Data     uint64 // messages with a topic's data, so no acks, errors, heartbeats ...
	Bytes    uint64 // payload bytes of all messages
}

// Totals is a snapshot of a [Fleet].
type Totals struct {
	Conns  int // to be opened
	Open   int // between the server's 101 and the end
	Opened int // have ever been open
	Failed int // ended before they were open
	Lost   int // ended after they were open, but not by the fleet
	Acked  int // clients whose first subscription the server acknowledged without an error

	Subscribed int // open and acknowledged now
	Reopened   int // connections that were opened again
	Left       int // ended by the fleet, to be opened again
	Away       int // left in a storm and not yet subscribed again
	Dismissed  int // slow and half-open clients that the server ended

	Ledger
	Pings    uint64 // answered with a pong
	LastData int64  // when the last data message was read; nanoseconds of CLOCK_MONOTONIC, 0 if none

	Faults map[Fault]int // their number by kind and code
}

// add adds a worker's part to t, without the faults.
func (t *Totals) add(o *Totals) {
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
