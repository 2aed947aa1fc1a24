package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options of a Client. Its functions are called by the goroutine of Run, one after another, like the handlers of subscriptions: they
// may subscribe and unsubscribe, and must not wait for the client, since Publish and the like wait for Run. While they take long, no
// message is read, and the server replaces messages of topics of mode "last" by newer ones.
type Options struct {
	// Transports are tried in this order; by default all: WebSocket, Server-Sent Events, long polling.
	Transports []Transport
	// UpgradeInterval is the time between two attempts to come back from a fallback to WebSocket, and up to twice as long; by default
	// a minute.
	UpgradeInterval time.Duration
	// Token returns the token for a connection, empty for none. It is called before each attempt and again when the server says that
	// the token expires, then by another goroutine, as for an attempt to come back to WebSocket.
	Token func(ctx context.Context) (string, error)
	// HTTPClient opens connections and sends requests; http.DefaultClient if it is nil. Its Timeout does not count for streams and
	// polls.
	HTTPClient *http.Client
	// Header is sent with each request.
	Header http.Header

	// OnStatus is told each change of the connection.
	OnStatus func(Status)
	// OnTopic is told each change of the state of a subscription, or of a topic that is stale by itself.
	OnTopic func(topic string, state TopicState)
	// OnLost is told that messages are lost. If it is nil, a loss ends Run.
	OnLost func(Lost)
	// OnError is told that a subscription or a token was refused. If it is nil, a refusal ends Run, unless the client tries again by
	// itself.
	OnError func(*Error)
	// OnLag is told that the client read too slowly.
	OnLag func(Lag)
	// OnNotice is told any other message of the server, as JSON with its op: hello, gap, stale, fresh, expire, drain, and those that
	// later servers may send.
	OnNotice func(json.RawMessage)
}

// A State is the state of the connection.
type State string

// The states of the connection.
const (
	StateOffline    State = "offline"    // no connection, and no attempt under way
	StateConnecting State = "connecting" // an attempt is under way
	StateLive       State = "live"       // the server is heard
	StateStale      State = "stale"      // it is heard, but has no feed for the topics in Status.Stale
)

// A Status describes the connection.
type Status struct {
	State State
	// Transport of the connection, or of the attempt under way; empty while offline.
	Transport Transport
	Stale     []string  // topics and patterns whose silence means nothing
	RetryAt   time.Time // of the next attempt; zero without one
	Code      int       // why the last connection ended: a close code, an HTTP status, or 0 for neither
	Reason    string
}

// A TopicState is the state of a topic or pattern.
type TopicState string

// The states of a topic.
const (
	TopicNone    TopicState = "none"    // no subscription covers it
	TopicWaiting TopicState = "waiting" // the server has not answered on the present connection
	TopicRefused TopicState = "refused" // its answer was no
	TopicLive    TopicState = "live"    // the newest message is here as soon as the server has it
	TopicStale   TopicState = "stale"   // it is not: silence means nothing
)

// A Client is a client of one server, or of several behind one address. Its methods may be called by any goroutine.
type Client struct {
	url     url.URL // of the stream; ws or wss
	options Options
	wake    chan struct{} // for the goroutine of Run
	hurry   chan struct{} // ends a wait for the next attempt
	choice  choice        // owned by the goroutine of Run

	mu       sync.Mutex
	running  bool
	asked    bool // a subscription or command came since the server called the client idle
	dirty    bool // subscriptions or states have changed
	lastID   int
	status   Status
	queue    queue
	subs     *subscriptions
	pendings pendings
}

// New returns a client of the stream at an address such as wss://ticks.example.com/stream; ws and http mean the same, and wss and
// https. Run connects it.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http", "https":
		u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
	default:
		return nil, fmt.Errorf("client: %q is no address of a stream: want ws, wss, http or https", address)
	}
	list, err := transportsOf(o.Transports)
	if err != nil {
		return nil, err
	}
	c := &Client{url: *u, options: o, choice: choice{list: list}, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), pendings: make(pendings),
		status: Status{State: StateOffline}}
	c.queue.options = &c.options
	c.subs = newSubscriptions(&c.queue)
	return c, nil
}

// A Subscription is a handler of topics and patterns.
type Subscription struct {
	client *Client
	topics []string
	handle func(Message)
	ended  bool // guarded by Client.mu
}

// SubscribeOptions are those of one subscription.
type SubscribeOptions struct {
	// Rate is a pace: at most one message of a topic in that time, the newest. The topic's class lists the possible ones. The newest
	// rate of a topic counts for all its handlers.
	Rate time.Duration
	// After is a cursor that the application kept: it resumes behind it.
	After string
}

// Subscribe calls handle, from the goroutine of Run, for each message of topics or patterns, on this and each later connection, until
// Unsubscribe. A handler that joins a topic gets its newest message first, as a snapshot.
func (c *Client) Subscribe(handle func(Message), o SubscribeOptions, topics ...string) (*Subscription, error) {
	var after position
	if o.After != "" {
		var err error
		if after, err = parseCursor(o.After); err != nil {
			return nil, err
		}
	}
	s := &Subscription{client: c, topics: topics, handle: handle}
	c.mu.Lock()
	seen := make(map[string]bool, len(topics))
	for _, t := range topics {
		if !seen[t] {
			seen[t] = true
			c.subs.add(t, s, o.Rate, after)
		}
	}
	c.asked, c.dirty = true, true
	c.mu.Unlock()
	c.poke()
	return s, nil
}

// Unsubscribe takes the handler off. A call that has begun may still be under way in the goroutine of Run. A topic without handlers is
// unsubscribed.
func (s *Subscription) Unsubscribe() {
	c := s.client
	c.mu.Lock()
	s.ended, c.dirty = true, true
	for _, t := range s.topics {
		c.subs.remove(t, s)
	}
	c.mu.Unlock()
	c.poke()
}

// Publish publishes a value, which becomes JSON. It returns once the server has accepted the message. On a transport without commands
// it fails like List and Time with an *Error of code 108.
func (c *Client) Publish(ctx context.Context, topic string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err = c.request(ctx, command{Op: "pub", Topic: topic, Data: data})
	return err
}

// List returns the subscriptions of the connection, as the server sees them.
func (c *Client) List(ctx context.Context) ([]AckTopic, error) {
	a, err := c.request(ctx, command{Op: "list"})
	return a.Topics, err
}

// Time returns the server's time. Half of the time that the call takes may be added.
func (c *Client) Time(ctx context.Context) (time.Time, error) {
	a, err := c.request(ctx, command{Op: "ping"})
	if err != nil {
		return time.Time{}, err
	}
	ms, err := a.Time.Float64()
	return time.UnixMicro(int64(ms * 1000)), err
}

// State returns the state of a topic or pattern.
func (c *Client) State(topic string) TopicState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.state(topic)
}

// Status returns the state of the connection.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Cursor returns the cursor of the last message of a subscription of mode "all", to subscribe with SubscribeOptions.After another
// day. It is empty if there is none.
func (c *Client) Cursor(topic string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.cursor(topic)
}

// Connect ends the wait for the next attempt, for applications that know more: that the network is back, for example.
func (c *Client) Connect() {
	signal(c.hurry)
}

// Run keeps the client connected until ctx ends or the server refuses it for good, and returns the reason: ctx's error, an *Error, or
// a *Lost that nobody listens for. Subscriptions stay: Run may be called again. The first subscription or command connects.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return ErrRunning
	}
	c.running = true
	c.mu.Unlock()
	err := c.run(ctx)
	var refused *Error
	c.locked(func() {
		for id := range c.pendings {
			c.pendings.refused(id, ErrDisconnected)
		}
		s := Status{State: StateOffline}
		if errors.As(err, &refused) {
			s.Code, s.Reason = refused.Code, refused.Message
		}
		c.setStatus(s)
		c.subs.tell()
	})
	_ = c.flush()
	c.locked(func() { c.running = false })
	return err
}

// run opens one connection after another.
func (c *Client) run(ctx context.Context) error {
	var better *opening
	attempt := 0 // failed or short-lived connections in a row
	for {
		if better == nil {
			if err := c.untilAsked(ctx); err != nil {
				return err
			}
		}
		e := c.once(ctx, better)
		better = e.better
		if e.stable {
			attempt = 0
		}
		switch {
		case e.err != nil:
			return e.err
		case e.again, c.choice.next(&e):
			continue
		case isFinal(e.code):
			return &Error{Code: e.code, Message: cmp.Or(e.reason, "refused")}
		case e.idle, e.code == codeIdle && c.isIdle():
			c.idle(&e)
			continue
		}
		c.choice.waited(e.opened)
		wait, counts := waitAfter(&e, attempt)
		if counts {
			attempt++
		}
		c.locked(func() {
			c.setStatus(Status{State: StateOffline, RetryAt: time.Now().Add(wait), Code: e.code, Reason: e.reason})
		})
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// waitAfter returns the wait after an ending, and whether the next one should be longer.
func waitAfter(e *ending, attempt int) (wait time.Duration, counts bool) {
	if e.named {
		return e.wait, false
	}
	if wait, named := leaving(e.code); named {
		return wait, false
	}
	return backoff(attempt), true
}

// idle goes offline until a subscription or command comes.
func (c *Client) idle(e *ending) {
	c.locked(func() {
		c.asked = c.subs.hasAny()
		c.setStatus(Status{State: StateOffline, Code: e.code, Reason: e.reason})
	})
}

// isIdle reports whether nothing is subscribed or waits to be sent. A server that is slow may call a client idle that is not.
func (c *Client) isIdle() (idle bool) {
	c.locked(func() { idle = !c.subs.hasAny() && len(c.pendings) == 0 })
	return idle
}

// once serves a connection to its end: that of an open line, if there is one, or another one.
func (c *Client) once(ctx context.Context, o *opening) ending {
	name := c.choice.name()
	if o != nil {
		name = o.name
	}
	c.locked(func() { c.setStatus(Status{State: StateConnecting, Transport: name}) })
	if err := c.tellAll(); err != nil {
		if o != nil {
			o.line.close(false)
		}
		return ending{err: err}
	}
	if o == nil {
		var e ending
		if o, e = c.open(ctx, name); o == nil {
			c.dropped()
			return e.or(ctx.Err())
		}
	}
	c.choice.opened(o.name)
	return c.start(ctx, o).run(ctx)
}

// or returns an ending that ends Run, if there is an error.
func (e ending) or(err error) ending {
	if err != nil {
		return ending{err: err}
	}
	return e
}

// untilAsked waits for a subscription or a command.
func (c *Client) untilAsked(ctx context.Context) error {
	return c.tellUntil(ctx, func() bool { return c.asked || len(c.pendings) > 0 }, nil)
}

// pause waits for the next attempt.
func (c *Client) pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-c.hurry: // of earlier
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	return c.tellUntil(ctx, func() bool { return false }, timer.C)
}

// tellUntil tells the application what there is to tell, until the condition is true or there is something at the channel.
func (c *Client) tellUntil(ctx context.Context, ok func() bool, end <-chan time.Time) error {
	for {
		if err := c.tellAll(); err != nil {
			return err
		}
		var done bool
		c.locked(func() { done = ok() })
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return nil
		case <-c.hurry:
			if end != nil {
				return nil
			}
		case <-c.wake:
		}
	}
}

func (c *Client) tellAll() error {
	c.locked(func() {
		c.subs.tell()
		c.dirty = false
	})
	return c.flush()
}

// due returns the commands that are due on a connection, and whether anything changed.
func (c *Client) due(k *connection) (list [][]byte, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case k.live.IsZero():
	case k.out == nil:
		c.pendings.refuseAll()
		k.gatherChanges()
	default:
		list = c.pendings.unsent()
		if c.dirty {
			list = append(list, c.subs.commands(k.size, c.nextID)...)
		}
	}
	changed = c.dirty || len(c.queue.items) > 0 || c.queue.err != nil
	if c.dirty {
		c.subs.tell()
	}
	c.dirty = false
	return list, changed
}

// flush calls what is in the queue. It returns what nobody listens for.
func (c *Client) flush() error {
	c.mu.Lock()
	items := c.queue.items
	c.queue.items, c.queue.spare = c.queue.spare[:0], nil
	for i := range items {
		it := &items[i]
		ended := it.to != nil && it.to.ended
		c.mu.Unlock()
		switch {
		case ended:
		case it.to != nil:
			it.to.handle(it.m)
		default:
			it.call()
		}
		c.mu.Lock()
	}
	clear(items)
	c.queue.spare = items
	err := c.queue.err
	c.queue.err = nil
	c.mu.Unlock()
	return err
}

// dropped says that the connection has ended. Commands that were not sent yet may outlive it.
func (c *Client) dropped() {
	c.locked(func() {
		c.subs.reset()
		c.pendings.disconnected()
		c.dirty = true
	})
}

// setStatus sets the state of the connection; live is stale while a name is silent. The client is locked.
func (c *Client) setStatus(s Status) {
	s.Stale = c.subs.staleNames()
	if s.State == StateLive || s.State == StateStale {
		s.State = StateLive
		if len(s.Stale) > 0 {
			s.State = StateStale
		}
	}
	c.status, c.dirty = s, true
	c.queue.status(s)
}

func (c *Client) nextID() int {
	c.lastID++
	return c.lastID
}

func (c *Client) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// poke wakes the goroutine of Run.
func (c *Client) poke() { signal(c.wake) }

// signal signals to a channel with room for one signal.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
