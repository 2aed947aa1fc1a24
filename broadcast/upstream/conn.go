package upstream

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/topics"
)

// A conn is one of the connections to NATS. It outlives the sockets and the nats.Conns that serve it one after another. Its
// subscriptions share one channel and one goroutine, receive. It has more than 25 fields since two goroutines and one mutex have their
// parts in it.
type conn struct {
	hub     *topics.Hub
	log     *slog.Logger
	setAway func(away bool)          // reports that the connection is away, or back
	mine    func(source string) bool // reports whether a subject or pattern belongs to this connection
	others  func(handover uint64)    // puts a fence for Hub.HandedOver on the other connections; nil = there are none
	silence time.Duration            // after which a silent server counts as dead
	limit   int                      // messages in the channel; there is room for headroom more

	messages chan *nats.Msg // a message without a subscription stands for the first of marks
	room     chan struct{}  // wakes the guard; capacity 1
	wanted   atomic.Bool    // the guard waits for room
	ended    chan struct{}  // closed by receive, which takes no message after that
	kick     chan struct{}  // wakes keep: a PING is wanted; capacity 1
	closed   chan struct{}  // wakes keep: nats.go closed the connection for good; capacity 1

	asking sync.Mutex // held during calls that subscribe; locked before mu and before locks of nats.go

	mu                sync.Mutex // never held during a call of nats.go
	nc                *nats.Conn
	guard             *guard                        // of the latest socket; nil before the first
	subscriptions     map[string]*nats.Subscription // by subject or pattern
	subscriptionsPeak topics.Peak
	ncPeak            topics.Peak          // of ncTable
	ncTable           subTable             // of nc
	marks             []mark               // in the order of their places in messages
	fences            []fence              // still to come, by their numbers
	fenced            uint64               // fences so far
	deniedPubs        map[string]time.Time // subjects that this server may not publish to, with the time of the refusal
	dropped           uint64               // messages that nats.go dropped for subscriptions that have ended

	reconnects atomic.Uint64
	conflated  atomic.Uint64 // messages that catchUp replaced by a newer one

	receiving // owned by receive

	lastError string // logged since the last connection; owned by nats.go's goroutine for callbacks
}

// receiving is the state of conn.receive.
type receiving struct {
	linking bool            // messages wait in held
	missing bool            // call Hub.Lose when NATS has all subscriptions
	linked  bool            // there was a connection before
	held    []*nats.Msg     // messages of a new connection until NATS has all subscriptions; at most limit
	refused map[string]bool // subjects and patterns that the hub knows as refused
	swept   int             // size of refused after its last cleaning
	suspect int             // messages to come that may be of a subscription that has ended
	passed  uint64          // the place of this fence has come
	due     bool            // fences up to it may be left, which passSome carries out
}

// markMsg stands for a mark in the channel of messages.
var markMsg = new(nats.Msg)

func newConn(hub *topics.Hub, cfg Config) *conn {
	return &conn{
		hub: hub, log: cfg.Log, silence: cfg.silence(), limit: cfg.PendingMessages,
		messages: make(chan *nats.Msg, cfg.PendingMessages+headroom),
		room:     make(chan struct{}, 1), ended: make(chan struct{}), kick: make(chan struct{}, 1), closed: make(chan struct{}, 1),
		subscriptions: make(map[string]*nats.Subscription), receiving: receiving{refused: make(map[string]bool)},
	}
}

// dialed installs the guard of a new socket. nats.go dials only after it has put the last message of the old socket into the
// channel.
func (c *conn) dialed(g *guard) *guard {
	g.owner, g.log, g.silence, g.closed = c, c.log, c.silence, make(chan struct{})
	c.mu.Lock()
	c.guard, c.deniedPubs = g, nil
	fenced := c.fenced
	c.mu.Unlock()
	c.mark(mark{guard: g, kind: markDialed, fence: fenced})
	return g
}

// mark puts m into the channel of messages. Its caller is the one goroutine of nats.go that adds messages at that time.
func (c *conn) mark(m mark) {
	select {
	case <-c.ended:
		return
	default:
	}
	c.mu.Lock()
	c.marks = append(c.marks, m)
	c.mu.Unlock()
	select {
	case c.messages <- markMsg:
	case <-c.ended:
	}
}

// lost handles the end of g's socket.
func (c *conn) lost(g *guard, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guard == g {
		c.hub.SetAway(err.Error())
		c.setAway(true)
	}
}

// awaitRoom waits until the channel has headroom or closed is closed, and reports whether it had to wait.
func (c *conn) awaitRoom(closed <-chan struct{}) (waited bool) {
	for !c.hasRoom() {
		waited = true
		c.wanted.Store(true)
		if c.hasRoom() {
			break
		}
		select {
		case <-c.room:
		case <-closed:
			return true
		}
	}
	return waited
}

func (c *conn) hasRoom() bool { return len(c.messages) <= c.limit }

// receive hands messages to the hub until ctx is done. Ends of subscriptions that are due together are carried out a few at a time, with
// the messages that wait in between.
func (c *conn) receive(ctx context.Context) {
	defer close(c.ended)
	for {
		for c.due && c.passSome() && ctx.Err() == nil {
			for n := len(c.messages); n > 0 && len(c.messages) > 0; n-- { // receive is the only reader
				c.takeNext(<-c.messages)
			}
		}
		select {
		case m := <-c.messages:
			c.takeNext(m)
		case <-ctx.Done():
			return
		}
	}
}

// takeNext handles a message or mark, and what has piled up behind it.
func (c *conn) takeNext(m *nats.Msg) {
	c.take(m)
	if len(c.messages) > c.limit/2 {
		c.catchUp()
	}
	if c.wanted.Load() && c.hasRoom() {
		c.wanted.Store(false)
		select {
		case c.room <- struct{}{}:
		default:
		}
	}
}

// take handles a message or mark from the channel.
func (c *conn) take(m *nats.Msg) {
	switch {
	case m == markMsg:
		c.mu.Lock()
		next := c.marks[0]
		if c.marks = c.marks[1:]; len(c.marks) == 0 {
			c.marks = nil
		}
		c.mu.Unlock()
		c.takeMark(next)
	case !c.linking:
		c.deliver(m)
	default:
		if c.held = append(c.held, m); len(c.held) >= c.limit { // the wait is too long: report the hole here, and again at its end
			c.closeHole()
		}
	}
}

func (c *conn) takeMark(m mark) {
	switch m.kind {
	case markDialed:
		if len(c.held) > 0 { // the connection before ended too soon
			c.closeHole()
		}
		c.linking, c.missing = true, true
	case markLinked:
		refused := m.guard.refusals()
		for subject := range c.refused {
			if !refused[subject] {
				c.grant(subject)
			}
		}
	}
	c.passed, c.due = max(c.passed, m.fence), true
	if len(m.refused)+len(m.granted) > 0 || m.kind != markVerdict { // the ends before it concern it
		for c.passSome() {
		}
	}
	for _, r := range m.refused {
		c.refuse(r)
	}
	for _, subject := range m.granted {
		c.grant(subject)
	}
	if m.kind == markLinked && c.missing {
		c.closeHole()
		if c.linked {
			c.reconnects.Add(1)
		}
		c.missing, c.linked = false, true
		c.arrived(m.guard)
	}
}

// arrived reports that the connection is back, unless it has ended meanwhile.
func (c *conn) arrived(g *guard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guard == g && !g.isEnded() {
		c.setAway(false)
	}
}

// closeHole reports to the hub the hole between two connections, or before the first, and delivers the messages behind it.
func (c *conn) closeHole() {
	c.mu.Lock()
	wanted := len(c.subscriptions) > 0
	c.mu.Unlock()
	if wanted || c.linked {
		c.hub.Lose("upstream", c.linked, c.mine)
	}
	held := c.held
	c.linking, c.held = false, nil
	for _, m := range held {
		c.deliver(m)
	}
}

// refuse reports to the hub that NATS denies a subscription, unless it has been removed meanwhile.
func (c *conn) refuse(r refusal) {
	c.mu.Lock()
	wanted := c.subscriptions[r.subject] != nil
	c.mu.Unlock()
	if !wanted {
		return
	}
	level := slog.LevelWarn
	if c.refused[r.subject] {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, "nats denies a subject, asking again", "subject", r.subject, "err", r.why)
	c.refused[r.subject] = true
	c.handOver(c.hub.Refuse(r.subject, r.why, c.same()))
	if len(c.refused) > 2*c.swept+64 { // removed subscriptions are forgotten, as in the hub
		c.mu.Lock()
		for subject := range c.refused {
			if c.subscriptions[subject] == nil {
				delete(c.refused, subject)
			}
		}
		c.mu.Unlock()
		c.swept = len(c.refused)
	}
}

// grant reports to the hub that a refusal is over.
func (c *conn) grant(subject string) {
	if c.refused[subject] {
		delete(c.refused, subject)
		c.log.Info("nats grants a subject", "subject", subject)
		c.hub.Grant(subject)
	}
}

// deliver hands m to the hub, unless m is a delivery of JetStream to some client's inbox. A pattern that begins with a
// wildcard matches the inbox too. NATS puts the subject in the stream into such a message, so that an old one looks like a
// new publication.
func (c *conn) deliver(m *nats.Msg) {
	if c.suspect > 0 { // a later subscription to the same subject would own it
		if c.suspect--; !m.Sub.IsValid() {
			return
		}
	}
	source := m.Sub.Subject
	if strings.HasPrefix(m.Reply, "$JS.ACK.") && (source[0] == '>' || source[0] == '*') {
		return
	}
	if len(c.refused) > 0 { // the first message may come before the answer of NATS
		c.grant(source)
	}
	c.hub.Deliver(m.Subject, m.Data, source)
}

// catchUp receives all waiting messages and hands on the newest of each subject, or all of them if the topic is lossless. A
// mark keeps its place. A NATS server that is still faster has to wait (see guard), and disconnects this client in the end.
func (c *conn) catchUp() {
	type copyOf struct{ subject, source string }
	newest := make(map[copyOf]int) // index into kept
	var kept []*nats.Msg
	hand := func() {
		for _, m := range kept {
			if m != nil {
				c.take(m)
			}
		}
		clear(newest)
		kept = kept[:0]
	}
	for range len(c.messages) {
		m := <-c.messages // receive is the only reader
		if m == markMsg {
			hand()
			c.take(m)
			continue
		}
		key := copyOf{m.Subject, m.Sub.Subject}
		at, known := newest[key]
		if known && !c.hub.Lossless(m.Subject) {
			kept[at] = nil
			c.conflated.Add(1)
		}
		newest[key] = len(kept)
		kept = append(kept, m)
	}
	hand()
}

// connected is a callback of nats.go. NATS may not have all subscriptions yet.
func (c *conn) connected(nc *nats.Conn, how string) {
	c.lastError = ""
	if g := c.latest(); g != nil && g.opaque {
		c.mark(mark{guard: g, kind: markLinked})
	}
	c.log.Info("nats "+how, "server", nc.ConnectedAddr())
}

// current returns the latest connection of nats.go.
func (c *conn) current() *nats.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc
}

// latest returns the guard of the latest socket, or nil.
func (c *conn) latest() *guard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guard
}
