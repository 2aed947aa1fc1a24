package eventloop

import (
	"net/http"
	"net/url"
	"strings"

	"tickcast/broadcast"
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

// admissible judges a request to open a WebSocket. It answers those that it refuses.
func (l *loop) admissible(c *conn, r *wsproto.Request) bool {
	if l.engine.draining.Load() {
		l.refuse(c, status503Draining, "the server is going away")
		return false
	}
	switch string(r.Method) {
	case http.MethodGet:
	case http.MethodHead: // its answer has no body
		l.respondError(c, r, streamMethod, "only GET")
		return false
	default:
		l.refuse(c, streamMethod, "only GET")
		return false
	}
	if err := r.CheckUpgrade(); err != nil {
		l.refuseError(c, err)
		return false
	}
	return true
}

// admit judges a request for the stream and upgrades it.
func (l *loop) admit(c *conn, r *wsproto.Request) {
	if !l.admissible(c, r) {
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
	protocol := r.Protocol(l.engine.cfg.Subprotocols)
	topics := topicsOf(query)
	if broadcast.CodecOf(protocol) == broadcast.CodecRaw && (len(topics) != 1 || strings.ContainsAny(topics[0], "*>")) {
		l.refuse(c, queryRejection, protocol+" needs one topic, ?topics=TOPIC")
		return
	}
	l.upgrade(c, r, protocol, topics, query)
}

// topicsOf returns the topics of a request's address.
func topicsOf(query url.Values) []string {
	list := query["topics"]
	if len(list) == 0 {
		return nil
	}
	return strings.Split(strings.Join(list, ","), ",")
}

// begin makes a WebSocket of the connection.
func (l *loop) begin(c *conn) {
	c.state, c.since, c.sent = stateOpen, l.now, l.now
	c.flags |= flagWebSocket
	l.opened++
	l.counters.webSockets.Add(1)
}

// upgrade makes a WebSocket of the connection and joins it to the shard. The response and the greeting leave in one write.
func (l *loop) upgrade(c *conn, r *wsproto.Request, protocol string, topics []string, query url.Values) {
	l.begin(c)
	cfg := &l.engine.cfg
	var d wsproto.Deflate
	if cfg.Compression.Enabled {
		d = r.Deflate(&cfg.Compression.Policy)
	}
	shared := d.ServerWindowBits // 0 without compression
	if d.ServerTakeover {
		shared = 0 // appendOwn makes its frames of plain ones
	}
	greeting := l.shard.Join(c.slot, broadcast.CodecOf(protocol), shared)

	b := wsproto.AppendUpgrade(l.scratch[:0], r.Key, protocol, d)
	for _, frame := range greeting {
		b = append(b, frame...)
	}
	l.scratch = b
	l.keepAlive(c)
	if l.write(c, b); c.state != stateOpen {
		return
	}
	l.deflate(c, d)
	if len(topics) > 0 {
		l.shard.Subscribe(c.slot, topics, query.Get("after"), query.Get("rate"))
	}
}
