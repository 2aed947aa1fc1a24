package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Transport carries the messages of a connection.
type Transport string

// The transports. Commands such as Publish need a WebSocket.
const (
	TransportWebSocket Transport = "ws"
	TransportEvents    Transport = "sse"  // Server-Sent Events
	TransportPoll      Transport = "poll" // long polling: one request after another
)

// messageMax is the length in bytes of the longest message of the server, and of its longest answer to a poll.
const messageMax = 64 << 20

// A line is an open connection, by any transport. The line of a WebSocket is a sender as well; by the others the request names all
// subscriptions.
type line interface {
	// receive returns the next message, sign of life, or end. One goroutine calls it, until the end.
	receive() received
	// close ends the line, and so a receive that waits; the server is told if there is time to be polite. Any goroutine may call it.
	close(politely bool)
}

// A sender sends commands.
type sender interface {
	send(ctx context.Context, b []byte) error
}

// A received is an input of a line. Without any field it is a sign of life.
type received struct {
	b       []byte        // a message of the server; nil = none
	cursors string        // the places behind this message and all before it, as the server names them; empty = not named
	retry   time.Duration // the server's wait after the end of the line; 0 = not named
	end     *ending
}

// An ending is the end of a connection, or of an attempt.
type ending struct {
	code   int // close code, HTTP status, or 0 if the server was not reached or gave none
	reason string
	wait   time.Duration // that the server named, if named
	named  bool
	opened bool     // it is the end of a connection
	stable bool     // the connection was live long enough to reset the backoff
	idle   bool     // there was nothing to ask for
	again  bool     // another connection follows at once
	better *opening // that one, if it is open
	err    error    // ends Run
}

// refuses reports whether the server refuses the client for good. 403 for an upgrade may come from a proxy, and another transport
// finds that out.
func (e *ending) refuses(by Transport) bool {
	return isFinal(e.code) && (e.opened || e.code != http.StatusForbidden || by != TransportWebSocket)
}

// A dial is an attempt to open a line.
type dial struct {
	url    url.URL // ws or wss
	http   *http.Client
	header http.Header // of each request, with the token
	token  string
	form   url.Values // the subscriptions, for transports without commands

	// unplaced is the list of those topics of the form that have no cursor of their own in it, as JSON; empty if it has no cursor.
	unplaced string
}

// An opening is an open line before its use.
type opening struct {
	line  line
	name  Transport
	token string
}
