package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	openTimeout  = 10 * time.Second // an opening that takes longer has failed
	writeTimeout = 10 * time.Second
	stableTime   = 10 * time.Second      // a connection that lived so long resets the backoff
	heartbeat    = 15 * time.Second      // until the server says another
	probeTimeout = 5 * time.Second       // for the answer to a ping
	gatherTime   = 50 * time.Millisecond // before a request that names all subscriptions is made anew
	upgradeTime  = time.Minute           // between two attempts to come back to a WebSocket, and up to twice as long
	sizeMin      = 1 << 10               // bytes of a command, until the server says what it takes
)

// A connection is one line, from its opening to its end. Its fields belong to the goroutine of Run.
type connection struct {
	client *Client
	*opening
	out    sender // nil where commands cannot be sent
	in     chan received
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	others sync.WaitGroup // the reader, refreshes of the token, and attempts by WebSocket
	// closing says that nobody takes messages any more.
	closing chan struct{}
	better  chan *opening // a WebSocket that is open beside this line
	renewed chan struct{} // a request with another token is due

	live      time.Time // of hello, or of the begin without commands; zero before
	size      int       // bytes of the longest message that the server takes
	beat      time.Duration
	heard     time.Time
	probed    bool
	gathering bool
	back      time.Time     // when the server wishes that the client comes back; zero if it named no time
	retry     time.Duration // the wait that the server wishes after the end; 0 if it named none
	watch     *time.Timer   // for silence
	again     *time.Timer   // for what the server could not give
	gather    *time.Timer   // for further changes of the subscriptions
}

// dial prepares an attempt.
func (c *Client) dial(ctx context.Context) (*dial, error) {
	d := &dial{url: c.url, http: cmp.Or(c.options.HTTPClient, http.DefaultClient), header: c.options.Header.Clone()}
	if d.header == nil {
		d.header = make(http.Header)
	}
	if c.options.Token == nil {
		return d, nil
	}
	var err error
	if d.token, err = c.options.Token(ctx); err == nil && d.token != "" {
		d.header.Set("Authorization", "Bearer "+d.token)
	}
	return d, err
}

// open opens a line. Without one, the ending says why. Any goroutine may call it for a WebSocket.
func (c *Client) open(ctx context.Context, name Transport) (*opening, ending) {
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	d, err := c.dial(limited)
	if err != nil {
		return nil, ending{reason: "token: " + err.Error()}
	}
	if name != TransportWebSocket && !c.formOf(d) {
		return nil, ending{idle: true}
	}
	l, e := openers[name](limited, d)
	if l != nil {
		return &opening{l, name, d.token}, ending{}
	}
	if limited.Err() != nil && ctx.Err() == nil {
		e = ending{code: http.StatusRequestTimeout, reason: "timeout"}
	}
	return nil, e
}

// formOf sets the form of an attempt, for a transport without commands. It reports false if there is no subscription.
func (c *Client) formOf(d *dial) bool {
	c.locked(func() {
		d.form, d.unplaced = c.subs.form()
		if d.form == nil {
			c.pendings.refuseAll()
		}
	})
	return d.form != nil
}

// start makes a connection of a line.
func (c *Client) start(ctx context.Context, o *opening) *connection {
	k := &connection{client: c, opening: o, in: make(chan received), closing: make(chan struct{}), better: make(chan *opening),
		renewed: make(chan struct{}, 1), beat: heartbeat, heard: time.Now(), size: sizeMin, again: stopped(), gather: stopped()}
	k.out, _ = o.line.(sender)
	k.watch = time.NewTimer(k.beat / 2)
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.others.Go(k.read)
	if k.out == nil {
		c.locked(k.begin)
		if c.choice.isFallback() {
			k.others.Go(k.upgrade)
		}
	}
	return k
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// read hands the messages to the goroutine of Run, one at a time: a client that is slow is slow to read as well, and the server sees
// that.
func (k *connection) read() {
	for {
		r := k.line.receive()
		select {
		case k.in <- r:
		case <-k.closing: // reads up to the server's close frame
		case <-k.ctx.Done():
			return
		}
		if r.end != nil {
			return
		}
	}
}

// upgrade opens a WebSocket beside another line, every one to two minutes until it opens.
func (k *connection) upgrade() {
	every := k.client.options.UpgradeInterval
	if every <= 0 {
		every = upgradeTime
	}
	for {
		timer := time.NewTimer(every + rand.N(every))
		select {
		case <-timer.C:
		case <-k.ctx.Done():
			timer.Stop()
			return
		}
		o, _ := k.client.open(k.ctx, TransportWebSocket)
		if o == nil {
			continue
		}
		select {
		case k.better <- o:
		case <-k.ctx.Done():
			o.line.close(false)
		}
		return
	}
}

// run takes messages until the connection ends.
func (k *connection) run(ctx context.Context) ending {
	defer k.client.dropped()
	for {
		e := k.pump()
		if e == nil {
			e = k.step(ctx)
		}
		if e != nil {
			k.close(e.err != nil)
			return k.end(*e)
		}
	}
}

// step waits for one event, and takes it.
func (k *connection) step(ctx context.Context) *ending {
	c := k.client
	select {
	case <-ctx.Done():
		return &ending{err: ctx.Err()}
	case <-c.wake:
	case r := <-k.in:
		return k.take(r)
	case o := <-k.better:
		return &ending{again: true, better: o}
	case <-k.renewed:
		return &ending{again: true}
	case <-k.gather.C:
		return &ending{again: true}
	case <-k.again.C:
		c.locked(func() { c.subs.again(); c.dirty = true })
	case <-k.watch.C:
		return k.listen()
	}
	return nil
}

// pump sends what is due, and tells the application what there is to tell.
func (k *connection) pump() *ending {
	c := k.client
	for {
		list, more := c.due(k)
		for _, b := range list {
			if err := k.write(b); err != nil {
				return &ending{reason: err.Error()}
			}
		}
		if err := c.flush(); err != nil {
			return &ending{err: err}
		}
		if !more {
			return nil
		}
	}
}

func (k *connection) write(b []byte) error {
	ctx, cancel := context.WithTimeout(k.ctx, writeTimeout)
	defer cancel()
	return k.out.send(ctx, b)
}

// take takes a message, or the end.
func (k *connection) take(r received) *ending {
	if r.end != nil {
		return r.end
	}
	k.heard, k.probed = time.Now(), false
	if r.retry > 0 {
		k.retry = between(r.retry, r.retry*3/2)
	}
	if r.b != nil {
		if e := k.takeMessage(r.b); e != nil {
			return e
		}
	}
	if r.cursors != "" {
		k.client.locked(func() { k.client.subs.behind(r.cursors) })
	}
	return nil
}

func (k *connection) takeMessage(b []byte) (e *ending) {
	var in input
	err := json.Unmarshal(b, &in)
	if err == nil {
		k.client.locked(func() { e, err = k.received(&in, b) })
	}
	if err != nil {
		return &ending{reason: "malformed message: " + err.Error()}
	}
	return e
}

// end adds to an ending what the connection knows.
func (k *connection) end(e ending) ending {
	e.opened = true
	e.stable = !k.live.IsZero() && time.Since(k.live) >= stableTime
	switch {
	case !k.back.IsZero():
		e.wait, e.named = max(0, time.Until(k.back)), true
	case k.retry > 0 && !e.named:
		e.wait, e.named = k.retry, true
	}
	return e
}

// close closes the connection, politely or at once, and waits until nothing of it is left.
func (k *connection) close(politely bool) {
	close(k.closing)
	k.line.close(politely)
	k.cancel()
	k.watch.Stop()
	k.again.Stop()
	k.gather.Stop()
	k.others.Wait()
}

// listen sets the timer for silence. It ends the connection after two and a half heartbeats without a word, the last half after a
// ping, or after two where no ping can be sent. A timer that is late means that the machine slept or a handler took long: messages may
// wait behind it, so they and the ping come first.
func (k *connection) listen() *ending {
	if k.probed || k.out == nil && k.isQuiet() {
		select {
		case r := <-k.in: // it was there before the timer
			if e := k.take(r); e != nil {
				return e
			}
		default:
			return &ending{reason: "silence"}
		}
	}
	if !k.isQuiet() {
		k.watch.Reset(k.beat / 2)
		return nil
	}
	if k.live.IsZero() {
		return &ending{reason: "silence"}
	}
	k.probed = true
	k.watch.Reset(min(probeTimeout, k.beat/2))
	var ping command
	k.client.locked(func() { ping = command{Op: "ping", ID: k.client.nextID()} })
	if err := k.write(ping.encode()); err != nil {
		return &ending{reason: err.Error()}
	}
	return nil
}

func (k *connection) isQuiet() bool { return time.Since(k.heard) >= 2*k.beat }

// refresh sends a new token in place of one that expires, by a command or by another request. If there is none, the server closes.
func (k *connection) refresh() {
	c := k.client
	if c.options.Token == nil {
		return
	}
	k.others.Go(func() {
		token, err := c.options.Token(k.ctx)
		switch {
		case err != nil:
		case k.out == nil:
			if token != k.token {
				signal(k.renewed)
			}
		default:
			_, err = c.request(k.ctx, command{Op: "auth", Token: token})
		}
		if err == nil || k.ctx.Err() != nil || errors.Is(err, ErrDisconnected) {
			return
		}
		e := &Error{Message: "token: " + err.Error(), Retry: true}
		if refused := new(Error); errors.As(err, &refused) {
			e.Code = refused.Code
		}
		c.locked(func() { c.queue.error(e) })
		c.poke()
	})
}

// gatherChanges makes the request anew after a while if it names other subscriptions than the application wants. The client is
// locked.
func (k *connection) gatherChanges() {
	if !k.gathering && k.client.subs.isDue() {
		k.gathering = true
		k.gather.Reset(gatherTime)
	}
}
