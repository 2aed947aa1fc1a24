package broadcast

import (
	"context"
	"errors"
	"fmt"
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
	PendingMessages int // messages that may wait for the hub before NATS counts this client slow and drops

	// InProcess, if not nil, is a NATS server in this process, which is used in place of URLs.
	InProcess interface{ InProcessConn() (net.Conn, error) }

	Log *slog.Logger // nil = discard
}

// NATS is the upstream of a hub: one connection, one goroutine that hands messages on in the order of their arrival.
type NATS struct {
	hub      *Hub
	log      *slog.Logger
	nc       *nats.Conn
	messages chan *nats.Msg
	outgoing chan outgoing
	closed   chan struct{} // the connection ended for good

	mu            sync.Mutex
	subscriptions map[string]*nats.Subscription
	ended         uint64 // messages that subscriptions dropped which are over by now

	reconnects atomic.Uint64

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
	n := &NATS{
		hub: hub, log: cfg.Log,
		messages:      make(chan *nats.Msg, cfg.PendingMessages),
		outgoing:      make(chan outgoing, outgoingQueue),
		closed:        make(chan struct{}),
		subscriptions: make(map[string]*nats.Subscription),
	}
	hub.setStale(true) // until the first connection
	nc, err := cfg.dial(
		nats.ReconnectBufSize(-1), // what cannot be sent now is refused, not sent late
		nats.ConnectHandler(func(nc *nats.Conn) { n.up(nc, "connected") }),
		nats.ReconnectHandler(func(nc *nats.Conn) { n.reconnects.Add(1); n.up(nc, "reconnected") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.down(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { n.unreachable(err) }),
		nats.ErrorHandler(n.failed),
		nats.ClosedHandler(func(*nats.Conn) { close(n.closed) }),
	)
	if err != nil {
		return nil, err
	}
	n.nc = nc
	return n, nil
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

func (n *NATS) up(nc *nats.Conn, how string) {
	if how != "connected" {
		n.hub.newEpoch() // what was published meanwhile is lost
		n.hub.allow()
	}
	n.told = ""
	n.hub.setStale(false)
	n.log.Info("nats "+how, "server", nc.ConnectedAddr())
}

func (n *NATS) down(err error) {
	n.hub.setStale(true)
	if err == nil { // closed by Run
		return
	}
	n.log.Warn("nats disconnected", "err", err)
}

// unreachable logs a failed attempt to connect, aloud only when the reason is a new one: nobody else tells that a password
// is wrong.
func (n *NATS) unreachable(err error) {
	why := err.Error()
	n.hub.away.Store(&why)
	level := slog.LevelWarn
	if n.told == why {
		level = slog.LevelDebug
	}
	n.told = why
	n.log.Log(context.Background(), level, "cannot connect to nats, trying on", "err", err)
}

func (n *NATS) failed(nc *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		n.hub.newEpoch() // messages were dropped
		n.log.Warn("the feed is faster than this server, messages were dropped", "topic", sub.Subject)
	case errors.Is(err, nats.ErrPermissionViolation):
		if m := deniedSubscription.FindStringSubmatch(err.Error()); m != nil {
			n.hub.deny(m[1])
		}
		n.log.Warn("nats denies a subject", "err", err) // when it has taken effect
	case nc.IsReconnecting():
		n.unreachable(err)
	case sub != nil:
		n.log.Warn("nats error", "topic", sub.Subject, "err", err)
	default:
		n.log.Warn("nats error", "err", err)
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
	err := n.receive(ctx)
	cancel()
	tasks.Wait()
	n.nc.Close()
	return err
}

func (n *NATS) receive(ctx context.Context) error {
	for {
		select {
		case m := <-n.messages:
			n.hub.publish(m.Subject, m.Data, m.Sub.Subject)
			if len(n.messages) > cap(n.messages)/2 {
				n.catchUp()
			}
		case <-ctx.Done():
			return nil
		case <-n.closed:
			return errNATSClosed
		}
	}
}

// catchUp takes all that waits and hands on the newest message of each subject. When the channel is full nats.go throws
// away what comes, which is the newest: better to conflate before that.
func (n *NATS) catchUp() {
	type copyOf struct{ subject, source string }
	newest := make(map[copyOf]*nats.Msg)
	var order []copyOf
	waiting := len(n.messages)
	for range waiting {
		m := <-n.messages // nobody else receives
		key := copyOf{m.Subject, m.Sub.Subject}
		if newest[key] == nil {
			order = append(order, key)
		}
		newest[key] = m
	}
	n.hub.stats.conflated.Add(uint64(waiting - len(order)))
	for _, key := range order {
		n.hub.publish(key.subject, newest[key].Data, key.source)
	}
}

func (n *NATS) send(ctx context.Context) {
	for {
		select {
		case o := <-n.outgoing:
			if err := n.nc.Publish(o.topic, o.data); err != nil {
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

func (n *NATS) subscribe(name string) error {
	sub, err := n.nc.ChanSubscribe(name, n.messages)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.subscriptions[name] = sub
	return nil
}

func (n *NATS) unsubscribe(name string) error {
	n.mu.Lock()
	sub := n.subscriptions[name]
	delete(n.subscriptions, name)
	if sub != nil {
		if dropped, err := sub.Dropped(); err == nil { // else -1: the connection is closed
			n.ended += uint64(dropped)
		}
	}
	n.mu.Unlock()
	if sub == nil {
		return nil
	}
	return sub.Unsubscribe()
}

func (n *NATS) publish(topic string, data []byte) error {
	if !n.nc.IsConnected() {
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
func (n *NATS) dropped() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	total := n.ended
	for _, sub := range n.subscriptions {
		if dropped, err := sub.Dropped(); err == nil {
			total += uint64(dropped)
		}
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
