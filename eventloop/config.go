package eventloop

import (
	"log/slog"
	"time"

	"tickcast/broadcast"
	"tickcast/wsproto"
)

// Config says how an Engine works. Durations are kept to a tenth of a second.
type Config struct {
	Listen       []string // "host:port"; port 0 picks a free one
	StreamPath   string   // where WebSockets are accepted
	EchoPath     string   // where WebSockets get back what they send, for conformance tools; a final / takes in all below; "" = nowhere
	Pages        []Page   // what else is served
	Subprotocols []string // that are known; the first in the client's order is chosen
	Loops        int      // event loops
	LockOSThread bool     // give each loop a thread of its own

	Backlog        int           // connections that the kernel holds before they are accepted
	SendBuffer     int           // SO_SNDBUF in bytes; 0 = the kernel's default
	NotSentLowat   int           // TCP_NOTSENT_LOWAT in bytes; 0 = the kernel's default
	TCPUserTimeout time.Duration // TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; 0 = the kernel's default

	MaxConnections int // more are answered 503; 0 = what the limit of open files allows, less a reserve
	MaxHeaderSize  int // of a request's head, bytes
	MaxMessageSize int // of a client's message, bytes
	QueueBytes     int // of answers that may wait for one client, bytes
	InputBytes     int // of what one client sent that may wait to be handled, bytes; at least 64 KiB counts
	EchoQueueBytes int // of echoes that may wait for one client, and of what it sent to the echo, bytes; at least twice MaxMessageSize counts

	Compression Compression

	HandshakeTimeout    time.Duration // from the connection to the end of its request, and between requests
	FirstMessageTimeout time.Duration // from the upgrade to the first subscription; 0 = for ever
	CloseTimeout        time.Duration // from our close frame or refusal to the end of the connection
	Heartbeat           time.Duration // without a frame to the client before it gets hb; 0 = never
	PingInterval        time.Duration // without a byte from the client before it is pinged; 0 = never
	IdleTimeout         time.Duration // without a byte from the client before it is given up; 0 = never

	Slice time.Duration // the longest uninterrupted fan-out; then the loop looks at its sockets

	Log *slog.Logger // nil = discard
}

// Compression is permessage-deflate (RFC 7692) on the stream.
type Compression struct {
	Enabled  bool
	Deflater *wsproto.Deflater // may be the hub's; of the echoes too; nil = one of level 1
	Policy   wsproto.DeflatePolicy
	MinSize  int // bytes of the shortest payload that is compressed for one client; see broadcast.Config.MinCompress
}

// A Page is served from memory to GET and HEAD.
type Page struct {
	Path        string // exact, such as "/"
	ContentType string
	Body        []byte
}

// Status codes of Tickcast's own, RFC 6455 section 7.4.2: 4000-4499 = come back, 4500-4999 = do not.
const (
	StatusHeartbeatTimeout wsproto.StatusCode = 4000
	StatusNothingAsked     wsproto.StatusCode = 4001                         // nothing subscribed in time
	StatusSlowConsumer                        = broadcast.StatusSlowConsumer // the client does not read its answers, or a lossless topic
	StatusInboundRate      wsproto.StatusCode = 4006                         // the client sends more than can be handled
	StatusBadRequest       wsproto.StatusCode = 4501                         // what the client sent makes no sense in its subprotocol
)
