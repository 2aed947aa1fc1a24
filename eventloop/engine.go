package eventloop

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"tickcast/broadcast"
	"tickcast/eventloop/admission"
	"tickcast/eventloop/tlsrecord"
	"tickcast/wsproto"
)

// An Engine accepts connections and serves them from its loops. It is used once: New, then Run. It has
// more than 25 fields since New works out all that a connection needs of the configuration, once.
type Engine struct {
	gnet.BuiltinEventEngine

	// Immutable after New.
	cfg            Config
	hub            *broadcast.Shards
	log            *slog.Logger
	started        time.Time
	handshake      uint32 // Config.HandshakeTimeout in ticks
	closing        uint32 // Config.CloseTimeout in ticks
	transports     *transportTable
	latestPath     string         // beside Config.StreamPath
	frames         wsproto.Config // for clients that do not compress
	deflater       *wsproto.Deflater
	pages          map[string]*page
	crossOrigin    bool                 // pages of other origins may be allowed
	credentials    bool                 // and send cookies
	addresses      *admission.Addresses // nil without a limit of addresses
	accepts        *admission.Rate
	maxHeld        int64 // connections that the limit of new ones admits within Limits.ConnectionsWait
	users          *admission.Users
	notice, grace  uint32 // of Config.Auth, in ticks
	maxAge         uint32 // Limits.MaxAge in ticks
	ageJitter      uint32 // of these, the last ones
	maxConnections int64
	reserve        int64           // descriptors that admitted connections leave to other things
	listen         []string        // Config.Listen, then those of Config.TLS and Config.Redirect
	tlsConfig      *tls.Config     // of all handshakes
	handshakes     *tlsrecord.Pool // their bounds
	keptMost       int             // ciphers that one loop keeps
	stopWithin     time.Duration   // stopPatience, but in tests

	// Written once, before draining is set.
	drainFrom time.Time
	drainTime time.Duration

	// Any goroutine.
	connections atomic.Int64 // open ones, refused ones included
	refused     atomic.Int64 // of these, the ones beyond maxConnections
	held        atomic.Int64 // the entries of all loop.held
	draining    atomic.Bool
	full        atomic.Bool // there is no memory for more connections
	accepting   acceptState
	ready       chan struct{} // closed when the loops run
	empty       chan struct{} // closed when draining and the last connection is gone
	emptied     sync.Once

	// Written once, before ready is closed.
	gnet   gnet.Engine
	addrs  []string
	failed error // of OnBoot

	mu    sync.Mutex
	loops []*loop // those that have shown themselves

	byIndex []*loop // all loops; each element belongs to its loop, nil before that has shown itself
}

// An acceptState notes failed accepts, see listen.go.
type acceptState struct {
	failures atomic.Uint64
	failed   atomic.Bool // since the last poke
	logged   atomic.Bool
}

// Ready is closed once connections are served.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Addrs returns the addresses of the listeners, "host:port". It may be called once Ready is closed.
func (e *Engine) Addrs() []string { return e.addrs }

// TLSAddrs returns the addresses with TLS among these.
func (e *Engine) TLSAddrs() []string {
	n := len(e.cfg.Listen)
	return e.addrs[n : n+len(e.cfg.TLS.Listen)]
}

// RedirectAddrs returns the addresses among these that only redirect to https.
func (e *Engine) RedirectAddrs() []string { return e.addrs[len(e.cfg.Listen)+len(e.cfg.TLS.Listen):] }

// Connections returns the number of open ones, in any state.
func (e *Engine) Connections() int64 { return e.connections.Load() }

// Handshakes returns the number of TLS handshakes that have begun since New. Any goroutine may call it.
func (e *Engine) Handshakes() uint64 { return e.handshakes.Begun() }

// Draining reports whether the engine is about to end.
func (e *Engine) Draining() bool { return e.draining.Load() }

// SetFull says whether there is no memory for more WebSockets: they are refused then. Any goroutine may call it.
func (e *Engine) SetFull(full bool) { e.full.Store(full) }

// tick is the engine's clock.
func (e *Engine) tick() uint32 { return uint32(time.Since(e.started) / tick) }

// shownLoops returns the loops that have shown themselves.
func (e *Engine) shownLoops() []*loop {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loops
}

// connectionEnded notes the end of a connection. The loops call it.
func (e *Engine) connectionEnded() {
	if e.connections.Add(-1) == 0 && e.draining.Load() {
		e.emptied.Do(func() { close(e.empty) })
	}
}
