package broadcast

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// NATSConfig says how upstream is reached.
type NATSConfig struct {
	URLs            []string // of one cluster
	Name            string   // of this connection, as the NATS server shows it
	CredentialsFile string   // a .creds file: JWT and NKey seed
	User, Password  string
	Token           string
	CAFile          string // verifies the NATS server's certificate; empty = the system's
	CertFile        string // with KeyFile: the client's own certificate
	KeyFile         string
	ConnectTimeout  time.Duration
	ReconnectWait   time.Duration
	PendingMessages int // messages that may wait for the hub, by connection, before NATS counts this client slow and drops
	Connections     int // subjects are dealt out to so many; default 1

	// InProcess, if not nil, is a NATS server in this process, which is used in place of URLs.
	InProcess interface{ InProcessConn() (net.Conn, error) }

	Log *slog.Logger // nil = discard
}

// NATS is the upstream of a hub: a few connections, each with one goroutine that hands messages on in the order of their
// arrival. A subject belongs to one of them, so that its order holds.
type NATS struct {
	hub      *Hub
	log      *slog.Logger
	conns    []*natsConn
	outgoing chan outgoing
	closed   chan struct{} // a connection ended for good; capacity 1

	reconnects atomic.Uint64
}

// A natsConn is one of the connections.
type natsConn struct {
	n        *NATS
	index    int
	nc       *nats.Conn
	messages chan *nats.Msg

	mu            sync.Mutex
	subscriptions map[*feed]*nats.Subscription
	ended         uint64 // messages that subscriptions dropped which are over by now
	away          bool   // it is not connected

	told string // the last error that was logged since the connection; owned by nats.go's goroutine for handlers
}

type outgoing struct {
	topic string
	data  []byte
}

// outgoingQueue is how many published messages may wait for the NATS connection. Chosen by us.
const outgoingQueue = 4096

var (
	errOutgoingFull = errors.New("too many messages are waiting to be published")
	errNATSClosed   = errors.New("broadcast: the nats connection was closed for good")
)

// ConnectNATS connects to NATS for hub. A server that cannot be reached yet is no error: the hub is stale until it is.
// Wrong settings are, such as a credentials file that cannot be read.
func ConnectNATS(hub *Hub, cfg NATSConfig) (*NATS, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PendingMessages <= 0 {
		cfg.PendingMessages = 65536
	}
	n := &NATS{hub: hub, log: cfg.Log, outgoing: make(chan outgoing, outgoingQueue), closed: make(chan struct{}, 1)}
	hub.setStale(true) // until the first connection
	for i := range max(cfg.Connections, 1) {
		c := &natsConn{
			n: n, index: i, away: true,
			messages:      make(chan *nats.Msg, cfg.PendingMessages),
			subscriptions: make(map[*feed]*nats.Subscription),
		}
		n.conns = append(n.conns, c)
	}
	for _, c := range n.conns {
		nc, err := cfg.dial(
			nats.ReconnectBufSize(-1), // what cannot be sent now is refused, not sent late
			nats.ConnectHandler(func(nc *nats.Conn) { c.up(nc, "connected") }),
			nats.ReconnectHandler(func(nc *nats.Conn) { n.reconnects.Add(1); c.up(nc, "reconnected") }),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.down(err) }),
			nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.unreachable(err) }),
			nats.ErrorHandler(c.failed),
			nats.ClosedHandler(func(*nats.Conn) {
				select {
				case n.closed <- struct{}{}:
				default:
				}
			}),
		)
		if err != nil {
			n.close()
			return nil, err
		}
		c.nc = nc
	}
	return n, nil
}

func (n *NATS) close() {
	for _, c := range n.conns {
		if c.nc != nil {
			c.nc.Close()
		}
	}
}

func (n *NATS) stream(ctx context.Context, subject string) (*stream, error) {
	return openStream(ctx, n.conns[0].nc, subject, n.log)
}

// connOf returns the connection that a feed belongs to.
func (n *NATS) connOf(f *feed) *natsConn {
	h := fnv.New32a()
	h.Write([]byte(f.subject)) // cannot fail
	return n.conns[h.Sum32()%uint32(len(n.conns))]
}

// Dial makes a connection of its own with the same settings, for a publisher in this process.
func (cfg NATSConfig) Dial() (*nats.Conn, error) { return cfg.dial() }

func (cfg NATSConfig) dial(options ...nats.Option) (*nats.Conn, error) {
	options = append(options, nats.Name(cfg.Name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort()) // a wrong password at NATS for a while must not end this server
	if cfg.ReconnectWait > 0 {
		options = append(options, nats.ReconnectWait(cfg.ReconnectWait), nats.ReconnectJitter(cfg.ReconnectWait/2, cfg.ReconnectWait))
	}
	if cfg.ConnectTimeout > 0 {
		options = append(options, nats.Timeout(cfg.ConnectTimeout))
	}
	switch {
	case cfg.CredentialsFile != "":
		credentials := nats.UserCredentials(cfg.CredentialsFile)
		if err := checkCredentials(credentials); err != nil {
			return nil, fmt.Errorf("broadcast: read nats credentials: %w", err)
		}
		options = append(options, credentials)
	case cfg.Token != "":
		options = append(options, nats.Token(cfg.Token))
	case cfg.User != "":
		options = append(options, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.CAFile != "" {
		options = append(options, nats.RootCAs(cfg.CAFile))
	}
	if cfg.CertFile != "" {
		options = append(options, nats.ClientCert(cfg.CertFile, cfg.KeyFile))
	}
	if cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(cfg.InProcess))
	}
	nc, err := nats.Connect(strings.Join(cfg.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("broadcast: connect to nats: %w", err)
	}
	return nc, nil
}

// checkCredentials reads the file once: nats.go would try to connect without end.
func checkCredentials(credentials nats.Option) error {
	var o nats.Options
	if err := credentials(&o); err != nil {
		return err
	}
	if _, err := o.UserJWT(); err != nil {
		return err
	}
	_, err := o.SignatureCB([]byte("nonce"))
	return err
}

func (c *natsConn) up(nc *nats.Conn, how string) {
	hub := c.n.hub
	if how != "connected" {
		hub.newEpoch() // what was published meanwhile is lost
		hub.allow()
		hub.lost("upstream", false, func(t *topic) bool { return t.owner == nil || c.n.connOf(t.owner) == c })
	}
	c.told = ""
	c.setAway(false)
	c.n.log.Info("nats "+how, "server", nc.ConnectedAddr())
}

// setAway notes whether c is away. The hub is stale while one connection is.
func (c *natsConn) setAway(away bool) {
	c.mu.Lock()
	c.away = away
	c.mu.Unlock()
	for _, other := range c.n.conns {
		other.mu.Lock()
		away = away || other.away
		other.mu.Unlock()
	}
	c.n.hub.setStale(away)
}

func (c *natsConn) down(err error) {
	c.setAway(true)
	if err == nil { // closed by Run
		return
	}
	c.n.log.Warn("nats disconnected", "err", err)
}

// unreachable logs a failed attempt to connect, aloud only when the reason is a new one: nobody else tells that a password
// is wrong.
func (c *natsConn) unreachable(err error) {
	why := err.Error()
	c.n.hub.away.Store(&why)
	level := slog.LevelWarn
	if c.told == why {
		level = slog.LevelDebug
	}
	c.told = why
	c.n.log.Log(context.Background(), level, "cannot connect to nats, trying on", "err", err)
}

func (c *natsConn) failed(nc *nats.Conn, sub *nats.Subscription, err error) {
	hub, log := c.n.hub, c.n.log
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		hub.newEpoch() // messages were dropped
		log.Warn("the feed is faster than this server, messages were dropped", "topic", sub.Subject)
		hub.lost("the server was too slow", true, func(t *topic) bool { return t.owner == nil || t.owner.subject == sub.Subject })
	case errors.Is(err, nats.ErrPermissionViolation):
		if m := deniedSubscription.FindStringSubmatch(err.Error()); m != nil {
			hub.deny(m[1])
		}
		log.Warn("nats denies a subject", "err", err) // when it has taken effect
	case nc.IsReconnecting():
		c.unreachable(err)
	case sub != nil:
		log.Warn("nats error", "topic", sub.Subject, "err", err)
	default:
		log.Warn("nats error", "err", err)
	}
}

// deniedSubscription finds the subject in the error that a NATS server answers a subscription with.
var deniedSubscription = regexp.MustCompile(`(?i)subscription to "([^"\s]+)"`)

// Run hands messages to the hub, and the hub's wishes to NATS, until ctx is done; then it closes the connection. It fails
// if NATS closes the connection for good.
func (n *NATS) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { n.hub.Run(ctx, n) })
	tasks.Go(func() { n.send(ctx) })
	for _, c := range n.conns {
		tasks.Go(func() { c.receive(ctx) })
	}
	var err error
	select {
	case <-n.closed:
		err = errNATSClosed
	case <-ctx.Done():
	}
	cancel()
	tasks.Wait()
	n.close()
	return err
}

// publish hands m to the hub, unless it is what JetStream delivers to somebody's inbox: a pattern that begins with a wildcard
// matches the inbox, but NATS names the subject in the stream, as if the message, which may be old, were published once more.
func (c *natsConn) publish(m *nats.Msg) {
	from := m.Sub.Subject
	if strings.HasPrefix(m.Reply, "$JS.ACK.") && (from[0] == '>' || from[0] == '*') {
		return
	}
	c.n.hub.publish(m.Subject, m.Data, from)
}

func (c *natsConn) receive(ctx context.Context) {
	for {
		select {
		case m := <-c.messages:
			c.publish(m)
			if len(c.messages) > cap(c.messages)/2 {
				c.catchUp()
			}
		case <-ctx.Done():
			return
		}
	}
}

// catchUp takes all that waits and hands on the newest message of each subject; of those behind lossless topics all. When the
// channel is full nats.go throws away what comes, which is the newest: better to conflate before that.
func (c *natsConn) catchUp() {
	type copyOf struct{ subject, source string }
	newest := make(map[copyOf]int) // index into kept
	var kept []*nats.Msg
	waiting := len(c.messages)
	for range waiting {
		m := <-c.messages // nobody else receives
		key := copyOf{m.Subject, m.Sub.Subject}
		at, known := newest[key]
		if known && !c.n.hub.lossless(m.Subject) {
			kept[at] = nil
			c.n.hub.stats.conflated.Add(1)
		}
		newest[key] = len(kept)
		kept = append(kept, m)
	}
	for _, m := range kept {
		if m != nil {
			c.publish(m)
		}
	}
}

func (n *NATS) send(ctx context.Context) {
	for {
		select {
		case o := <-n.outgoing:
			if err := n.conns[0].nc.Publish(o.topic, o.data); err != nil {
				n.hub.stats.publishErrors.Add(1)
				n.log.Debug("publish failed", "topic", o.topic, "err", err)
			} else {
				n.hub.stats.published.Add(1)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (n *NATS) subscribe(f *feed) error {
	c := n.connOf(f)
	sub, err := c.nc.ChanSubscribe(f.subject, c.messages)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscriptions[f] = sub
	return nil
}

func (n *NATS) unsubscribe(f *feed) error {
	c := n.connOf(f)
	c.mu.Lock()
	sub := c.subscriptions[f]
	delete(c.subscriptions, f)
	if sub != nil {
		if dropped, err := sub.Dropped(); err == nil { // else -1: the connection is closed
			c.ended += uint64(dropped)
		}
	}
	c.mu.Unlock()
	if sub == nil {
		return nil
	}
	return sub.Unsubscribe()
}

func (n *NATS) publish(topic string, data []byte) error {
	if !n.conns[0].nc.IsConnected() {
		return errUpstreamAway
	}
	select {
	case n.outgoing <- outgoing{topic, data}:
		return nil
	default:
		return errOutgoingFull
	}
}

// dropped returns how many messages this client was too slow for: nats.go threw them away.
func (n *NATS) dropped() (total uint64) {
	for _, c := range n.conns {
		c.mu.Lock()
		total += c.ended
		for _, sub := range c.subscriptions {
			if dropped, err := sub.Dropped(); err == nil {
				total += uint64(dropped)
			}
		}
		c.mu.Unlock()
	}
	return total
}

// send publishes a client's message through upstream.
func (h *Hub) send(topic string, data []byte) error {
	h.mu.Lock()
	up := h.upstream
	h.mu.Unlock()
	if up == nil {
		return errUpstreamAway
	}
	err := up.publish(topic, data)
	if err != nil {
		h.stats.publishErrors.Add(1)
	}
	return err
}
