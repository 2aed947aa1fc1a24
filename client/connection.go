package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	openTimeout  = 10 * time.Second // an opening that takes longer has failed
	writeTimeout = 10 * time.Second
	closeTimeout = time.Second      // for the server's answer to a close frame
	stableTime   = 10 * time.Second // a connection that lived so long resets the backoff
	heartbeat    = 15 * time.Second // until the server says another
	probeTimeout = 5 * time.Second  // for the answer to a ping
	messageMax   = 64 << 20         // bytes of a message of the server
	sizeMin      = 1 << 10          // bytes of a command, until the server says what it takes
)

// An ending is the end of a connection, or of an attempt.
type ending struct {
	code   int // close code, HTTP status, or 0 if the server was not reached or gave none
	reason string
	wait   time.Duration // that the server named, if named
	named  bool
	stable bool  // the connection was live long enough to reset the backoff
	err    error // ends Run
}

// A connection is one WebSocket, from its opening to its end. Its fields belong to the goroutine of Run, but for ws.
type connection struct {
	client *Client
	ws     *websocket.Conn
	in     chan received
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	others sync.WaitGroup // the reader, and refreshes of the token
	// closing says that nobody takes messages any more.
	closing chan struct{}

	live   time.Time // of hello; zero before
	size   int       // bytes of the longest message that the server takes
	beat   time.Duration
	heard  time.Time
	probed bool
	back   time.Time   // when the server wishes that the client comes back; zero if it named no time
	watch  *time.Timer // for silence
	again  *time.Timer // for what the server could not give
}

type received struct {
	b   []byte
	err error
}

// open opens a connection. Without one, the ending says why.
func (c *Client) open(ctx context.Context) (*connection, ending) {
	dial, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	header := c.options.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if c.options.Token != nil {
		token, err := c.options.Token(dial)
		if err != nil {
			return nil, ending{reason: "token: " + err.Error()}
		}
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
	}
	ws, resp, err := websocket.Dial(dial, c.url.String(), &websocket.DialOptions{
		HTTPClient: c.options.HTTPClient, HTTPHeader: header, Subprotocols: []string{"tickcast.v1.json"},
	})
	if err != nil {
		return nil, refusedOpening(resp, err)
	}
	ws.SetReadLimit(messageMax)
	k := &connection{client: c, ws: ws, in: make(chan received), closing: make(chan struct{}), beat: heartbeat, heard: time.Now(), size: sizeMin, again: time.NewTimer(time.Hour)}
	k.watch = time.NewTimer(k.beat / 2)
	k.again.Stop()
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.others.Go(k.read)
	return k, ending{}
}

func refusedOpening(resp *http.Response, err error) ending {
	e := ending{reason: err.Error()}
	if resp == nil {
		return e
	}
	e.code = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait := time.Duration(min(seconds, 3600)) * time.Second
		e.wait, e.named = between(wait, wait*3/2), true
	}
	return e
}

// read hands the messages to the goroutine of Run, one at a time: a client that is slow is slow to read as well, and the server sees
// that.
func (k *connection) read() {
	for {
		_, b, err := k.ws.Read(k.ctx)
		select {
		case k.in <- received{b, err}:
		case <-k.closing: // reads up to the server's close frame
		case <-k.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// run takes messages until the connection ends.
func (k *connection) run(ctx context.Context) ending {
	c := k.client
	defer c.dropped()
	for {
		if err := k.pump(); err != nil {
			k.close(err.err != nil)
			return k.end(*err)
		}
		select {
		case <-ctx.Done():
			k.close(true)
			return ending{err: ctx.Err()}
		case <-c.wake:
		case r := <-k.in:
			if e := k.take(r); e != nil {
				k.close(false)
				return k.end(*e)
			}
		case <-k.again.C:
			c.locked(func() { c.subs.again(); c.dirty = true })
		case <-k.watch.C:
			if e := k.listen(); e != nil {
				k.close(false)
				return k.end(*e)
			}
		}
	}
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
	return k.ws.Write(ctx, websocket.MessageText, b)
}

// take takes a message, or the end.
func (k *connection) take(r received) *ending {
	if r.err != nil {
		e := ending{reason: r.err.Error()}
		if closed := new(websocket.CloseError); errors.As(r.err, closed) {
			e.code, e.reason = int(closed.Code), closed.Reason
		}
		return &e
	}
	k.heard, k.probed = time.Now(), false
	var in input
	if err := json.Unmarshal(r.b, &in); err != nil {
		return &ending{reason: "malformed message: " + err.Error()}
	}
	var err error
	k.client.locked(func() { err = k.received(&in, r.b) })
	if err != nil {
		return &ending{reason: "malformed message: " + err.Error()}
	}
	return nil
}

// end adds to an ending what the connection knows.
func (k *connection) end(e ending) ending {
	e.stable = !k.live.IsZero() && time.Since(k.live) >= stableTime
	if !k.back.IsZero() {
		e.wait, e.named = max(0, time.Until(k.back)), true
	}
	return e
}

// close closes the connection, with a close frame or at once, and waits until nothing of it is left.
func (k *connection) close(politely bool) {
	close(k.closing)
	if politely {
		stop := time.AfterFunc(closeTimeout, k.cancel) // ends the reader, and so the wait of Close
		_ = k.ws.Close(websocket.StatusNormalClosure, "")
		stop.Stop()
	}
	k.cancel()
	_ = k.ws.CloseNow()
	k.watch.Stop()
	k.again.Stop()
	k.others.Wait()
}

// listen sets the timer for silence. It ends the connection after two and a half heartbeats without a word, the last half after a
// ping. A timer that is late means that the machine slept or a handler took long: messages may wait behind it, so the ping comes first.
func (k *connection) listen() *ending {
	if k.probed {
		select {
		case r := <-k.in: // it was there before the timer
			if e := k.take(r); e != nil {
				return e
			}
		default:
			return &ending{reason: "silence"}
		}
	}
	if time.Since(k.heard) < 2*k.beat {
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

// refresh sends a new token in place of one that expires. If there is none, the server closes.
func (k *connection) refresh() {
	c := k.client
	if c.options.Token == nil {
		return
	}
	k.others.Go(func() {
		token, err := c.options.Token(k.ctx)
		if err == nil {
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
