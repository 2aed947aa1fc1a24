package eventloop

import (
	"tickcast/broadcast/wire"
	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// A transport is a row of the transport table: the way in which the server talks to one kind of peer.
type transport struct {
	// read handles input of a connection that has not ended. The slice is valid until it returns.
	read func(l *loop, c *conn, input []byte)
	// message handles a whole text or binary message of an open WebSocket. It reports false if no more input is to be read.
	message func(l *loop, c *conn, m wsproto.Message) bool
	// pack appends frames as this client alone reads them; nil = the client reads the same bytes as all others.
	pack func(l *loop, dst []byte, c *conn, frames []byte) []byte

	// form returns a frame as this kind of peer reads it; nil = as it is.
	form func(frame []byte) []byte
	// size returns the length of the first of frames of the shard; nil = they are WebSocket frames.
	size func(frames []byte) int
	// end ends an open connection; nil = with the closing handshake of WebSocket.
	end func(l *loop, c *conn, code wsproto.StatusCode, reason string)
	// beat is the heartbeat; nil = hb.
	beat []byte

	notices    bool          // hears more than data
	webSocket  bool          // counts as a WebSocket, and its end by status code
	events     bool          // counts as a stream of events, and its end by status code
	poll       bool          // waits for one answer
	subscriber bool          // a member of the shard
	takeover   transportKind // the row of a client for which the server takes over its compression context

	// Deadlines in ticks, see keepAlive; 0 = never.
	first, heartbeat, ping, idle uint32

	inbound    *admission.Inbound // limits of the input a second; nil = none
	inputBytes int                // bound of the input that waits for the connection's turn
	queueBytes int                // bound of the answers that gnet holds; -1 = send does not bound them
}

// A transportKind is the index of a row, in conn.transport.
type transportKind uint8

const (
	transportHTTP              transportKind = iota // requests, until one of them upgrades the connection
	transportWebSocket                              // the stream
	transportWebSocketTakeover                      // the stream, compressed for this client alone
	transportRaw                                    // the stream of one topic, as bare payloads
	transportRawTakeover
	transportProxied  // a header of the PROXY protocol, then as transportHTTP
	transportEcho     // gets back its own messages
	transportEvents   // Server-Sent Events in chunks
	transportPoll     // one request that waits for messages
	transportEvents10 // Server-Sent Events to a client of HTTP/1.0: up to the end of the connection
	transportKinds
)

type transportTable [transportKinds]transport

// formOf returns a frame as the client reads it.
func (t *transport) formOf(frame []byte) []byte {
	if t.form == nil {
		return frame
	}
	return t.form(frame)
}

// newTransports returns the table for cfg. A package variable could not hold it: Go refuses a table that names functions which
// use the table.
func newTransports(cfg *Config) *transportTable {
	stream := transport{
		read: (*loop).readFrames, message: (*loop).applyCommand,
		notices: true, webSocket: true, subscriber: true, takeover: transportWebSocketTakeover,
		first: ticks(cfg.FirstMessageTimeout), heartbeat: ticks(cfg.Heartbeat),
		ping: ticks(cfg.PingInterval), idle: ticks(cfg.IdleTimeout),
		inputBytes: cfg.InputBytes, queueBytes: cfg.QueueBytes,
	}
	if cfg.Limits.Inbound.Enabled() {
		stream.inbound = &cfg.Limits.Inbound
	}
	raw := stream
	raw.message, raw.takeover = (*loop).refuseCommand, transportRawTakeover
	raw.notices = false
	raw.heartbeat = 0 // the client would take it for a payload
	echo := stream
	echo.message, echo.takeover = (*loop).sendBack, transportEcho
	echo.notices, echo.subscriber, echo.first, echo.inbound = false, false, 0, nil
	echo.heartbeat = 0 // the client would take it for an echo
	echo.inputBytes, echo.queueBytes = cfg.EchoQueueBytes, cfg.EchoQueueBytes
	events := transport{
		read: (*loop).discardInput, form: wire.EventOf, size: wire.ChunkSize, end: (*loop).endEvents, beat: wire.AppendLine(nil, ":"),
		notices: true, events: true, subscriber: true,
		first: stream.first, heartbeat: stream.heartbeat, inbound: stream.inbound,
		inputBytes: cfg.InputBytes, queueBytes: cfg.QueueBytes,
	}
	events10 := events
	events10.pack = (*loop).unchunk
	poll := transport{
		read: (*loop).keepRequests, end: (*loop).endPoll, poll: true, subscriber: true,
		inbound: stream.inbound, inputBytes: cfg.InputBytes, queueBytes: -1, // serve bounds them
	}
	packed := func(t transport) transport { t.pack = (*loop).packFrames; return t }
	return &transportTable{
		transportHTTP:              {read: (*loop).readRequests, inbound: stream.inbound, queueBytes: -1, inputBytes: cfg.InputBytes}, // serve bounds them
		transportProxied:           {read: (*loop).readProxyHeader, inbound: stream.inbound, queueBytes: -1, inputBytes: cfg.InputBytes},
		transportWebSocket:         stream,
		transportWebSocketTakeover: packed(stream),
		transportRaw:               raw,
		transportRawTakeover:       packed(raw),
		transportEcho:              echo,
		transportEvents:            events,
		transportPoll:              poll,
		transportEvents10:          events10,
	}
}
