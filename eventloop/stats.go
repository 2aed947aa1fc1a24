package eventloop

import (
	"maps"
	"time"
)

// Stats are figures since the start, and of now where they have no "since". The loops publish theirs ten times a second.
type Stats struct {
	Connections    int64 // open ones, in any state
	WebSockets     int64 // of these, upgraded
	MaxConnections int64
	Loops          int

	Accepted uint64            // connections
	Opened   uint64            // WebSockets
	Closed   map[uint16]uint64 // WebSockets, by status code; 1006 = without a close frame; StatusForeign = a code of the client's own
	Rejected map[string]uint64 // connections and requests refused before the upgrade, by reason

	HTTPRequests     uint64
	FramesSent       uint64
	BytesSent        uint64
	BytesReceived    uint64
	MessagesReceived uint64 // of clients, control frames not counted
	Pings            uint64
	PongTimeouts     uint64

	OwnCompressed uint64 // frames that were compressed for one client alone: context takeover, and echoes
	WindowBytes   int64  // kept for clients with context takeover, theirs and the server's; now

	Panics uint64

	LoopLag []float64 // seconds from the posting of a tick to its run, the last one of each loop
}

// Stats reads the figures. Any goroutine may call it.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	loops := e.loops
	e.mu.Unlock()
	st := Stats{
		Connections: e.connections.Load(), MaxConnections: e.maxConnections, Loops: e.cfg.Loops,
		Closed: make(map[uint16]uint64), Rejected: make(map[string]uint64),
		LoopLag: make([]float64, e.cfg.Loops),
	}
	for _, name := range rejectNames {
		st.Rejected[name] = 0 // shown before the first
	}
	st.Rejected["accept_error"] = e.accepting.failures.Load()
	for i, l := range loops {
		l.counters.mu.Lock()
		t := l.counters.tally
		closed := maps.Clone(l.counters.closed)
		l.counters.mu.Unlock()
		for code, n := range closed {
			st.Closed[uint16(code)] += n
		}
		for reason, n := range t.rejected {
			st.Rejected[rejectNames[reason]] += n
		}
		st.WebSockets += l.counters.webSockets.Load()
		st.WindowBytes += l.counters.windowBytes.Load()
		st.Accepted += t.accepted
		st.Opened += t.opened
		st.HTTPRequests += t.requests
		st.FramesSent += t.frames
		st.BytesSent += t.bytesSent
		st.BytesReceived += t.bytesReceived
		st.MessagesReceived += t.messages
		st.Pings += t.pings
		st.PongTimeouts += t.pongTimeouts
		st.OwnCompressed += t.compressed
		st.Panics += t.panics
		st.LoopLag[i] = l.lagNow().Seconds()
	}
	return st
}

// lagNow is how long the last tick waited, or the one that waits now if that is longer. Any goroutine may call it.
func (l *loop) lagNow() time.Duration {
	lag := time.Duration(l.lag.Load())
	if l.ticking.Load() {
		lag = max(lag, time.Since(l.engine.started)-time.Duration(l.posted.Load()))
	}
	return lag
}
