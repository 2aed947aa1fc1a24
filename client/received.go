package client

import (
	"slices"
	"time"
)

// received carries out a message of the server. The client is locked.
func (k *connection) received(in *input, b []byte) (e *ending, err error) {
	c := k.client
	switch in.Op {
	case "":
		c.subs.deliver(in.message(), in.P != nil)
		return nil, nil
	case "hb":
		return nil, nil
	case "ack":
		return nil, k.acked(in)
	case "err":
		k.refused(in)
		return nil, nil
	case "lag":
		c.queue.lag(in.Lag)
		return nil, nil
	case "close": // of a transport without close codes
		return &ending{code: in.Code, reason: in.Reason}, nil
	case "hello":
		k.hello(in)
	case "stale", "fresh":
		if err := c.setSilent(in); err != nil {
			return nil, err
		}
	case "gap":
		c.subs.gap(in.T, in.Why)
	case "drain":
		first, last := milliseconds(in.After[0]), milliseconds(in.After[1])
		k.back = time.Now().Add(between(first, last))
	case "expire":
		k.refresh()
	}
	c.queue.notice(slices.Clone(b))
	return nil, nil
}

func milliseconds(n float64) time.Duration {
	return time.Duration(min(n, float64(waitMax.Milliseconds())) * float64(time.Millisecond))
}

// hello takes what the server says of itself. Behind it, it takes commands.
func (k *connection) hello(in *input) {
	if in.Heartbeat > 0 {
		k.beat = time.Duration(in.Heartbeat) * time.Millisecond
	}
	k.size = max(in.Limits.MessageBytes, sizeMin)
	k.watch.Reset(k.beat / 2)
	if k.out != nil {
		k.begin()
	}
}

// begin says that the server takes commands, or has answered the request that names the subscriptions. The client is locked.
func (k *connection) begin() {
	k.live = time.Now()
	k.client.setStatus(Status{State: StateLive, Transport: k.name})
}

// setSilent takes what the server says of topics without messages. fresh ends what stale began in the same words: ">" is the server's
// feed, a topic its own silence.
func (c *Client) setSilent(in *input) error {
	names, err := in.names()
	for _, name := range names {
		if in.Op == "stale" {
			c.subs.silent[name] = true
		} else {
			delete(c.subs.silent, name)
		}
	}
	c.setStatus(c.status)
	return err
}

func (k *connection) acked(in *input) error {
	a, err := in.ack()
	if err != nil {
		return err
	}
	c := k.client
	c.dirty = true
	k.retryIn(c.subs.acked(in.ID, a))
	if cmd, ok := c.pendings.acked(in.ID, a, in.More); ok && cmd.Op == "auth" {
		c.subs.ended(a.Errors)
	}
	return nil
}

func (k *connection) refused(in *input) {
	c := k.client
	c.dirty = true
	k.retryIn(c.subs.refused(in.ID, in.Code, in.Msg))
	e := &Error{Code: in.Code, Message: in.Msg}
	if in.ID == 0 {
		c.queue.error(e)
	}
	c.pendings.refused(in.ID, e)
}

// retryIn asks again for what the server could not give, after a while.
func (k *connection) retryIn(wait time.Duration) {
	if wait > 0 {
		k.again.Reset(wait)
	}
}
