package eventloop

import (
	"crypto/tls"
	"log/slog"
	"time"

	"tickcast/broadcast/auth"
	"tickcast/broadcast/wire"
	"tickcast/eventloop/admission"
	"tickcast/wsproto"
)

// Config configures an Engine. Durations are kept to a tenth of a second.
type Config struct {
	Listen       []string // "host:port"; port 0 picks a free one
	StreamPath   string   // of the WebSockets that subscribe
	EchoPath     string   // of the WebSockets that get back their own messages, for conformance tools; a final / includes all paths below; "" = none
	Pages        []Page   // other content
	Subprotocols []string // the known ones; the first in the client's order is chosen
	Loops        int      // event loops
	LockOSThread bool     // give each loop a thread of its own

	Backlog        int           // connections that the kernel holds before they are accepted
	SendBuffer     int           // SO_SNDBUF in bytes; 0 = the kernel's default
	NotSentLowat   int           // TCP_NOTSENT_LOWAT in bytes; 0 = the kernel's default
	TCPUserTimeout time.Duration // TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; 0 = the kernel's default

	MaxConnections int // more are answered 503; 0 = the limit of open files, less a reserve
	MaxHeaderSize  int // of a request's head, bytes
	MaxMessageSize int // of a client's message, bytes
	QueueBytes     int // of answers that may wait for one client, bytes
	InputBytes     int // of input that may wait for one client's turn, bytes; at least 64 KiB
	EchoQueueBytes int // of echoes that may wait for one client, and of its input, bytes; at least twice MaxMessageSize

	Compression Compression
	TLS         TLS
	Redirect    Redirect

	ProxyProtocol  ProxyMode
	TrustedProxies admission.Networks // whose PROXY headers and X-Forwarded-For count

	Origins admission.Origins // the web pages that may use the server
	Limits  Limits
	Auth    Auth

	HandshakeTimeout    time.Duration // from the connection to the end of its request, and between requests
	FirstMessageTimeout time.Duration // from the upgrade to the first subscription; 0 = for ever
	CloseTimeout        time.Duration // from our close frame or refusal to the end of the connection
	Heartbeat           time.Duration // without a frame to the client before it is sent hb; 0 = never
	PingInterval        time.Duration // without a byte from the client before it is pinged; 0 = never
	IdleTimeout         time.Duration // without a byte from the client before it is closed; 0 = never

	PollWait time.Duration // the longest wait of a poll; 0 = 25 s

	Drain Drain

	Slice time.Duration // the longest uninterrupted fan-out; then the loop reads from its sockets

	Log *slog.Logger // nil = discard
}

// Drain is the end of the server, as far as clients see it.
type Drain struct {
	Window   time.Duration // in which clients are asked to come back, each at its own time; 0 = they are not asked
	Duration time.Duration // in which connections end one after the other; never longer than the grace of Engine.Run
}

// Limits bound the clients, each limit on its own; 0 = none.
type Limits struct {
	Addresses            admission.AddressLimits
	ConnectionsPerSecond int           // new ones of all addresses together, in any second
	ConnectionsWait      time.Duration // the longest wait of further ones for their turn
	ConnectionsPerUser   int           // of one user, unless the token has a limit of its own
	Inbound              admission.Inbound
	MaxAge               time.Duration // of a WebSocket or event stream; of a connection with requests, at its next response
	AgeJitter            int           // percent of MaxAge by which a connection may end sooner
	DryRun               bool          // count only: nothing is refused and nobody is closed for these limits
}

// Auth says how clients prove who they are.
type Auth struct {
	Verifier   *auth.Verifier // nil = the server asks for no token
	Revoked    *auth.Revoked  // the revocations in force; nil = those of Verifier
	Cookie     string         // name of the cookie that may hold the token; "" = none
	Query      bool           // ?token= is allowed
	Wait       time.Duration  // for the keys of a token
	MaxWaiting int            // tokens of a loop that may wait for keys
	Notice     time.Duration  // before the expiry: the client is told
	Grace      time.Duration  // after the expiry: the connection ends
}

// Compression is permessage-deflate (RFC 7692) on the stream.
type Compression struct {
	Enabled  bool
	Deflater *wsproto.Deflater // may be the hub's; the echoes use it too; nil = one of level 1
	Policy   wsproto.DeflatePolicy
	MinSize  int // bytes of the shortest payload that is compressed for one client; see broadcast.Config.MinCompress
}

// TLS serves further addresses with TLS: https and wss.
type TLS struct {
	Listen        []string           // as Config.Listen
	Config        func() *tls.Config // of new connections; any goroutine calls it, so that it can change at any time
	OwnRecords    bool               // package tlsrecord has the records of TLS 1.3 with AES-GCM, a tenth of the memory of crypto/tls
	Workers       int                // handshakes that compute at the same time; 0 = half of the CPUs
	MaxHandshakes int                // handshakes under way, most of which wait for their client; more are refused
	KeptBytes     int                // of the ciphers of busy connections, which make sending cheaper; for all loops together
	Clients       *auth.Certificates // the users of clients' certificates; nil = a certificate only opens the door
}

// Redirect serves further addresses without TLS, which answer every request with the same address by https.
type Redirect struct {
	Listen []string // as Config.Listen
	Port   int      // of https, for the clients; 0 = 443

	// The loops call these, so they must not wait for anything.
	Serves    func(host string) bool   // whether a certificate is for host; a redirect of other hosts could lead anywhere
	Challenge func(path string) []byte // the answer to a certificate authority that asks for path, RFC 8555 section 8.3; nil = none
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
	StatusNothingAsked     wsproto.StatusCode = 4001 // nothing subscribed in time
	StatusTokenExpired     wsproto.StatusCode = 4002
	StatusSlowConsumer                        = wire.StatusSlowConsumer // the client does not read its answers, or a lossless topic
	StatusMaxAge           wsproto.StatusCode = 4005                    // the connection is as old as it may get
	StatusInboundRate      wsproto.StatusCode = 4006                    // the client sends more than can be handled
	StatusTooMany          wsproto.StatusCode = 4504                    // the address or the user has too many connections
	StatusInvalidToken     wsproto.StatusCode = 4500
	StatusKicked           wsproto.StatusCode = 4503 // the user or the token was revoked
	StatusBadRequest       wsproto.StatusCode = 4501 // the message makes no sense in the client's subprotocol
)

// StatusForeign stands for codes of the clients' own in the figures: they may be any, and must not look like ours. It is never
// on the wire.
const StatusForeign wsproto.StatusCode = 1

// tick is the grain of all deadlines.
const tick = 100 * time.Millisecond

// ticks converts a duration to ticks, rounded up; a duration above zero is at least one tick.
func ticks(d time.Duration) uint32 { return uint32((d + tick - 1) / tick) }
