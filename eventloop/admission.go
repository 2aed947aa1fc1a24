package eventloop

import (
	"net/http"
	"net/url"
	"strings"

	"tickcast/wsproto"
)

// A rejectReason says why a connection or request was refused before the upgrade. It is a label of the metrics.
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
	rejectReasons // how many there are
)

var rejectNames = [rejectReasons]string{
	"max_connections", "timeout", "bad_request", "not_found", "method", "too_large", "version", "draining", "not_reading",
}

// admit judges a request for the stream and upgrades it.
func (l *loop) admit(c *conn, r *wsproto.Request) {
	if l.engine.draining.Load() {
		l.refuse(c, status503Draining, "the server is going away")
		return
	}
	switch string(r.Method) {
	case http.MethodGet:
	case http.MethodHead: // its answer has no body
		l.respondError(c, r, streamMethod, "only GET")
		return
	default:
		l.refuse(c, streamMethod, "only GET")
		return
	}
	if err := r.CheckUpgrade(); err != nil {
		l.refuseError(c, err)
		return
	}
	var query url.Values
	if len(r.Query) > 0 {
		var err error
		if query, err = url.ParseQuery(string(r.Query)); err != nil {
			l.refuse(c, queryRejection, "malformed query")
			return
		}
	}
	l.upgrade(c, r, query)
}

// upgrade makes a WebSocket of the connection. The response and the greeting leave in one write.
func (l *loop) upgrade(c *conn, r *wsproto.Request, query url.Values) {
	c.state, c.since, c.sent = stateOpen, l.now, l.now
	c.flags |= flagWebSocket
	l.opened++
	l.counters.webSockets.Add(1)
	greeting := l.shard.Join(c.slot)

	b := wsproto.AppendUpgrade(l.scratch[:0], r.Key, r.Protocol(l.engine.cfg.Subprotocols))
	for _, frame := range greeting {
		b = append(b, frame...)
	}
	l.scratch = b
	l.keepAlive(c)
	if l.write(c, b); c.state != stateOpen {
		return
	}
	if topics := query["topics"]; len(topics) > 0 {
		l.shard.Subscribe(c.slot, strings.Split(strings.Join(topics, ","), ","), query.Get("after"), query.Get("rate"))
	}
}
