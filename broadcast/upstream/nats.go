package upstream

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/topics"
)

// NATS is the upstream of a hub: a few connections, each with one goroutine that hands messages on in the order of their
// arrival. Each subject belongs to one of them, which keeps its order.
type NATS struct {
	hub      *topics.Hub
	log      *slog.Logger
	conns    []*conn
	cfg      Config
	outgoing chan outgoing
	control  string // subject; "" = none

	mu   sync.Mutex
	away []bool // by connection: true while it is not connected

	published, publishErrors atomic.Uint64
}

// An outgoing is a client's message that waits to be published.
type outgoing struct {
	topic string
	data  []byte
	done  func(error) // receives the answer of the stream; nil without a stream
}

// outgoingQueue is the number of clients' messages that may wait for NATS. Chosen by us.
const outgoingQueue = 4096

var (
	errOutgoingFull = errors.New("too many messages are waiting to be published")
	errNoControl    = errors.New("there is no control subject")
)

// Connect connects to NATS for hub. A NATS server that cannot be reached yet is no error: the hub is stale until it can.
// Wrong settings are errors, such as a credentials file that cannot be read.
func Connect(hub *topics.Hub, cfg Config) (*NATS, error) {
	cfg.setDefaults()
	count := max(cfg.Connections, 1)
	n := &NATS{hub: hub, log: cfg.Log, cfg: cfg, control: cfg.Control, away: make([]bool, count), outgoing: make(chan outgoing, outgoingQueue)}
	for i := range count {
		c := newConn(hub, cfg)
		c.setAway = func(away bool) { n.setAway(i, away) }
		c.mine = func(source string) bool { return n.connOf(source) == c }
		if count > 1 {
			c.others = func(handover uint64) { n.fenceOthers(c, handover) }
		}
		n.conns = append(n.conns, c)
		n.away[i] = true
	}
	hub.SetStale(true) // until the first connection
	for _, c := range n.conns {
		nc, err := n.dial(c)
		if err != nil {
			n.close()
			return nil, err
		}
		c.connect(nc)
	}
	if err := subscribeControl(n.conns[0].current(), cfg); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// dial makes a connection of nats.go for c. nats.go connects again by itself, except after some errors; see conn.keep.
func (n *NATS) dial(c *conn) (*nats.Conn, error) {
	return n.cfg.dial(c.dialed,
		nats.ReconnectBufSize(-1), // a message that cannot be sent now is refused, not sent late
		nats.ConnectHandler(func(nc *nats.Conn) { c.connected(nc, "connected") }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.connected(nc, "reconnected") }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else closed by Run
				n.log.Warn("nats disconnected", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.logUnreachable(err) }),
		nats.ErrorHandler(c.handleError),
		nats.ClosedHandler(func(*nats.Conn) { c.giveUp() }),
	)
}

// Dial makes a connection of its own with the same settings, for a publisher in this process.
func (cfg Config) Dial() (*nats.Conn, error) {
	cfg.PendingMessages = 1 // of marks, which are not read
	cfg.setDefaults()
	c := newConn(topics.New(topics.Config{}), cfg)
	c.setAway = func(bool) {}
	close(c.ended)
	return cfg.dial(c.dialed)
}

func (n *NATS) close() {
	for _, c := range n.conns {
		if nc := c.current(); nc != nil {
			nc.Close()
		}
	}
}

// setAway records whether connection i is away. The hub is stale while any connection is.
func (n *NATS) setAway(i int, away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away[i] = away
	for _, other := range n.away {
		away = away || other
	}
	n.hub.SetStale(away)
}

// fenceOthers puts a fence for a handover from c on all other connections.
func (n *NATS) fenceOthers(c *conn, handover uint64) {
	for _, other := range n.conns {
		if other != c {
			other.addFence(fence{handover: handover})
		}
	}
}

// connOf returns the connection of a subject or pattern.
func (n *NATS) connOf(subject string) *conn {
	h := fnv.New32a()
	h.Write([]byte(subject)) // cannot fail
	return n.conns[h.Sum32()%uint32(len(n.conns))]
}

// Run hands messages to the hub, and the hub's subscriptions to NATS, until ctx is done. Then it closes the connections.
func (n *NATS) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	tasks.Go(func() { n.hub.Run(ctx, n) })
	tasks.Go(func() { n.send(ctx) })
	for _, c := range n.conns {
		tasks.Go(func() { c.receive(ctx) })
		tasks.Go(func() { c.keep(ctx, func() (*nats.Conn, error) { return n.redial(c) }) })
	}
	tasks.Wait()
	n.close()
	return nil
}

// Subscribe implements topics.Upstream for Hub.Run.
func (n *NATS) Subscribe(subject string) error { return n.connOf(subject).subscribe(subject) }

// Unsubscribe implements topics.Upstream for Hub.Run. The subscription ends a round trip later.
func (n *NATS) Unsubscribe(subject string) error { return n.connOf(subject).unsubscribe(subject) }

// Publish queues a client's message. Any goroutine may call it.
func (n *NATS) Publish(topic string, data []byte) error { return n.queue(topic, data, nil) }

// Store queues a client's message to a stream; see topics.Upstream.
func (n *NATS) Store(topic string, data []byte, done func(error)) error {
	return n.queue(topic, data, done)
}

func (n *NATS) queue(topic string, data []byte, done func(error)) error {
	c := n.conns[0]
	err := c.mayPublish(topic, len(data))
	switch {
	case err != nil:
	case !c.current().IsConnected():
		err = topics.ErrAway
	default:
		select {
		case n.outgoing <- outgoing{topic, data, done}:
			return nil
		default:
			err = errOutgoingFull
		}
	}
	n.publishErrors.Add(1)
	return err
}

// send publishes the queued messages until ctx is done.
func (n *NATS) send(ctx context.Context) {
	var st stores
	for {
		select {
		case o := <-n.outgoing:
			nc, err := n.conns[0].current(), error(nil)
			if o.done == nil {
				err = nc.Publish(o.topic, o.data)
			} else if err = st.publish(nc, o); err != nil {
				o.done(err)
			}
			if err != nil {
				n.publishErrors.Add(1)
				n.log.Debug("publish failed", "topic", o.topic, "err", err)
			} else {
				n.published.Add(1)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Counts returns the figures since the start. Any goroutine may call it.
func (n *NATS) Counts() (c topics.UpstreamCounts) {
	c.Published, c.PublishErrors = n.published.Load(), n.publishErrors.Load()
	for _, conn := range n.conns {
		c.Dropped += conn.drops()
		c.Conflated += conn.conflated.Load()
		c.Reconnects += conn.reconnects.Load()
		conn.countTables(&c)
		if g := conn.latest(); g != nil {
			c.Refused += g.refusedNow()
			c.Asked += g.askedNow()
		}
	}
	return c
}
