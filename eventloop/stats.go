package eventloop

import (
	"maps"
	"time"
)

// Stats are an engine's figures. Counts of type uint64 are since the start, all others are of now. The loops publish theirs ten
// times a second. It has more than 25 fields since each is a metric.
type Stats struct {
	Connections    int64 // open ones, in any state
	WebSockets     int64 // of these, upgraded
	EventStreams   int64 // of these, with Server-Sent Events
	Held           int64 // of these, the ones that wait for their turn since Limits.ConnectionsPerSecond is reached
	Polls          int64 // of these, requests that wait for messages
	MaxConnections int64
	Loops          int

	Accepted     uint64            // connections
	Opened       uint64            // WebSockets
	Closed       map[uint16]uint64 // WebSockets, by status code; 1006 = without a close frame; StatusForeign = a code of the client's own
	OpenedEvents uint64            // streams of events
	ClosedEvents map[uint16]uint64 // streams of events, by the status code of their last event; 1006 = the client ended it

	Polled map[string]uint64 // polls and requests for the newest messages that were answered, by result

	Rejected map[string]uint64 // connections and requests refused before the upgrade, by reason

	Limited map[string]uint64 // connections and input beyond a limit, by limit; refused unless Limits.DryRun

	Users                      int64  // with connections that have proved who they are
	TrackedAddresses           int64  // in the table of addresses
	UntrackedConnections       uint64 // whose address had no room in the table
	Bans                       uint64
	Kicked                     uint64 // connections ended by a revocation
	KeyFetches, KeyFetchErrors uint64
	Keys, Revocations          int64

	HTTPRequests     uint64
	FramesSent       uint64
	BytesSent        uint64
	BytesReceived    uint64
	MessagesReceived uint64 // without control frames
	Pings            uint64
	PongTimeouts     uint64

	OwnCompressed uint64 // frames that were compressed for one client alone: context takeover, and echoes
	InputBytes    int64  // of clients that wait for their turn
	OutputBytes   int64  // for clients whose sockets are full
	WindowBytes   int64  // of clients with context takeover, both sides' windows

	Panics uint64

	TLSHandshakes map[string]uint64 // by result
	TLSDriven     uint64            // of these, the ones whose records are those of crypto/tls
	TLSUnderWay   int64             // handshakes with a goroutine
	TLSKept       int64             // ciphers kept for busy connections

	LoopLag []float64 // seconds from the posting of a tick to its run, the last one of each loop
}

// Stats reads the figures. Any goroutine may call it.
func (e *Engine) Stats() Stats {
	loops := e.shownLoops()
	st := Stats{
		Connections: e.connections.Load(), Held: e.held.Load(), MaxConnections: e.maxConnections, Loops: e.cfg.Loops,
		Closed: make(map[uint16]uint64), ClosedEvents: make(map[uint16]uint64), Polled: make(map[string]uint64), Rejected: make(map[string]uint64),
		Limited:       make(map[string]uint64),
		TLSHandshakes: make(map[string]uint64), TLSUnderWay: e.handshakes.UnderWay(), TLSKept: e.KeptCiphers(),
		LoopLag: make([]float64, e.cfg.Loops),
	}
	for _, name := range rejectNames {
		st.Rejected[name] = 0 // shown before the first
	}
	for _, name := range pollNames {
		st.Polled[name] = 0
	}
	for _, name := range limitNames {
		st.Limited[name] = 0
	}
	a := e.addresses.Stats()
	st.TrackedAddresses, st.UntrackedConnections, st.Bans = int64(a.Tracked), a.Untracked, a.Bans
	v := e.cfg.Auth.Verifier.Stats()
	st.KeyFetches, st.KeyFetchErrors, st.Keys, st.Revocations = v.Fetches, v.FetchErrors, int64(v.Keys), int64(e.cfg.Auth.Revoked.Len())
	st.Users = int64(e.users.Count())
	st.Rejected["accept_error"] = e.accepting.failures.Load()
	for i, l := range loops {
		l.counters.mu.Lock()
		t := l.counters.tally
		closed, closedEvents := maps.Clone(l.counters.closed), maps.Clone(l.counters.closedEvents)
		l.counters.mu.Unlock()
		for code, n := range closed {
			st.Closed[uint16(code)] += n
		}
		for code, n := range closedEvents {
			st.ClosedEvents[uint16(code)] += n
		}
		for result, n := range t.polled {
			st.Polled[pollNames[result]] += n
		}
		for reason, n := range t.rejected {
			st.Rejected[rejectNames[reason]] += n
		}
		for limit, n := range t.limited {
			st.Limited[limitNames[limit]] += n
		}
		for result, n := range t.handshakes {
			st.TLSHandshakes[handshakeNames[result]] += n
		}
		st.WebSockets += l.counters.webSockets.Load()
		st.InputBytes += l.counters.inputBytes.Load()
		st.OutputBytes += l.counters.outputBytes.Load()
		st.WindowBytes += l.counters.windowBytes.Load()
		st.Accepted += t.accepted
		st.Opened += t.opened
		st.EventStreams += l.counters.eventStreams.Load()
		st.Polls += l.counters.polls.Load()
		st.OpenedEvents += t.openedEvents
		st.HTTPRequests += t.requests
		st.FramesSent += t.frames
		st.BytesSent += t.bytesSent
		st.BytesReceived += t.bytesReceived
		st.MessagesReceived += t.messages
		st.Pings += t.pings
		st.PongTimeouts += t.pongTimeouts
		st.OwnCompressed += t.compressed
		st.Kicked += t.kicked
		st.Panics += t.panics
		st.TLSDriven += t.driven
		st.LoopLag[i] = l.lagNow().Seconds()
	}
	return st
}

// Lag returns the longest lag of all loops. Any goroutine may call it.
func (e *Engine) Lag() time.Duration {
	var longest time.Duration
	for _, l := range e.shownLoops() {
		longest = max(longest, l.lagNow())
	}
	return longest
}

// lagNow returns the wait of the last tick, or of the tick that waits now if that is longer. Any goroutine may call it.
func (l *loop) lagNow() time.Duration {
	lag := time.Duration(l.lag.Load())
	if l.ticking.Load() {
		lag = max(lag, time.Since(l.engine.started)-time.Duration(l.posted.Load()))
	}
	return lag
}
