package eventloop

import (
	"sync"
	"sync/atomic"

	"tickcast/wsproto"
)

// A rejectReason is the reason for which a connection or request was refused before the upgrade, a label of the metrics.
type rejectReason uint8

const (
	rejectMaxConnections rejectReason = iota
	rejectTimeout
	rejectBadRequest
	rejectNotFound
	rejectMethod
	rejectTooLarge
	rejectVersion
	rejectDraining
	rejectNotReading
	rejectMemory
	rejectOrigin
	rejectRate // of new connections, or of input
	rejectBanned
	rejectUser
	rejectToken
	rejectKeys
	rejectProxy
	rejectHandshakes
	rejectNotTLS
	rejectHost    // of a redirect
	rejectReasons // the number of reasons
)

var rejectNames = [rejectReasons]string{
	"max_connections", "timeout", "bad_request", "not_found", "method", "too_large", "version", "draining", "not_reading", "memory",
	"origin", "rate", "banned", "user", "token", "keys", "proxy", "tls_handshakes", "not_tls", "host",
}

// A handshakeResult is the result of a TLS handshake, a label of the metrics.
type handshakeResult uint8

const (
	handshakeFull handshakeResult = iota
	handshakeResumed
	handshakeFailed
	handshakeTimeout
	handshakeResults // the number of results
)

var handshakeNames = [handshakeResults]string{"full", "resumed", "failed", "timeout"}

// A pollResult is the result of a poll, a label of the metrics.
type pollResult uint8

const (
	pollMessages pollResult = iota
	pollNothing
	pollRefused
	pollResults // the number of results
)

var pollNames = [pollResults]string{"messages", "nothing", "refused"}

// A tally holds a loop's figures that only grow. The loop counts without synchronisation and publishes ten times a second.
type tally struct {
	accepted, requests, opened, openedEvents        uint64
	frames, bytesSent, bytesReceived, messages      uint64
	pings, pongTimeouts, panics, compressed, kicked uint64
	rejected                                        [rejectReasons]uint64
	limited                                         [limitKinds]uint64
	handshakes                                      [handshakeResults]uint64
	polled                                          [pollResults]uint64
	driven                                          uint64
}

// counters are a loop's figures as other goroutines read them.
type counters struct {
	connections, webSockets, eventStreams, polls, windowBytes, keptCiphers atomic.Int64
	inputBytes, outputBytes                                                atomic.Int64 // that wait: for their turn, and for the sockets

	mu           sync.Mutex
	tally        tally
	closed       map[wsproto.StatusCode]uint64 // WebSockets
	closedEvents map[wsproto.StatusCode]uint64 // streams of events
}

// publish makes t visible to other goroutines.
func (c *counters) publish(t *tally) {
	c.mu.Lock()
	c.tally = *t
	c.mu.Unlock()
}

// countClosed counts the end of a connection in a map by its status code; 0 = without one.
func (c *counters) countClosed(in map[wsproto.StatusCode]uint64, code wsproto.StatusCode) {
	if code == 0 {
		code = wsproto.StatusAbnormal
	}
	c.mu.Lock()
	in[code]++
	c.mu.Unlock()
}
