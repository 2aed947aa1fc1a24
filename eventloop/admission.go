package eventloop

import (
	"net/http"
	"strings"

	"tickcast/broadcast/wire"
	"tickcast/wsproto"
)

// hasRoom reports whether the server takes further clients. It answers a request that is refused.
func (l *loop) hasRoom(c *conn) bool {
	if l.engine.draining.Load() {
		l.refuse(c, l.engine.goingAway(), "the server is going away")
		return false
	}
	if l.engine.full.Load() {
		l.refuse(c, status503Memory, "the server's memory is full")
		return false
	}
	return true
}

// mayUpgrade judges a request to open a WebSocket, and answers it if it is refused.
func (l *loop) mayUpgrade(c *conn, r *wsproto.Request) bool {
	if !l.hasRoom(c) {
		return false
	}
	switch string(r.Method) {
	case http.MethodGet:
	case http.MethodHead: // its answer has no body
		l.refuseRequest(c, r, streamMethod, "only GET")
		return false
	default:
		l.refuse(c, streamMethod, "only GET")
		return false
	}
	if err := r.CheckUpgrade(); err != nil {
		l.refuseError(c, err)
		return false
	}
	return l.originAllowed(c, r, false) && l.admitForwarded(c, r)
}

// admitWebSocket judges a request for a WebSocket on the stream and upgrades the connection.
func (l *loop) admitWebSocket(c *conn, r *wsproto.Request) {
	if !l.mayUpgrade(c, r) {
		return
	}
	query, topics, ok := l.readForm(c, r, nil)
	if !ok {
		return
	}
	protocol := r.Protocol(l.engine.cfg.Subprotocols)
	codec, transport := wire.CodecOf(protocol), transportWebSocket
	if codec == wire.CodecRaw {
		transport = transportRaw
	}
	if transport == transportRaw && (len(topics) != 1 || strings.ContainsAny(topics[0], "*>")) {
		l.refuse(c, queryRejection, protocol+" needs one topic, ?topics=TOPIC")
		return
	}
	claims, ok := l.identify(c, r, query)
	if !ok {
		return
	}
	l.openWebSocket(c, transport)
	cfg := &l.engine.cfg
	var d wsproto.Deflate
	if cfg.Compression.Enabled {
		d = r.Deflate(&cfg.Compression.Policy)
	}
	shared := d.ServerWindowBits // 0 without compression
	if d.ServerTakeover {
		shared = 0 // packFrames compresses plain frames
	}
	b := wsproto.AppendUpgrade(l.scratch[:0], r.Key, protocol, d)
	for _, frame := range l.shard.Join(c.slot, codec, shared) {
		b = append(b, frame...)
	}
	l.scratch = b
	if claims != nil {
		l.shard.Grant(c.slot, claims.Grant)
	}
	if !l.answer(c, b, 1) { // the response and the greeting leave in one write, and count as one frame
		return
	}
	l.keepAlive(c) // it may write, or end the connection
	if c.state != stateOpen {
		return
	}
	l.agreeDeflate(c, d)
	if len(topics) > 0 {
		l.shard.Subscribe(c.slot, topics, query.Get("after"), query.Get("rate"))
	}
}

// openWebSocket makes the connection a WebSocket on a transport.
func (l *loop) openWebSocket(c *conn, transport transportKind) {
	c.state, c.transport, c.opened, c.sent = stateOpen, transport, l.now, l.now
	l.tally.opened++
	l.counters.webSockets.Add(1)
}
