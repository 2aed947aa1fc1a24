package client

import (
	"cmp"
	"context"
	"slices"
)

// maxCommands commands wait for an answer at most.
const maxCommands = 256

// A pending is a command without an answer.
type pending struct {
	c      command
	sent   bool
	ack    Ack // the pages so far
	answer chan answer
}

type answer struct {
	ack Ack
	err error
}

// pendings are the commands without an answer, by their ids. Guarded by Client.mu.
type pendings map[int]*pending

// add adds a command.
func (p pendings) add(c command) (*pending, error) {
	if len(p) >= maxCommands {
		return nil, ErrTooMany
	}
	p[c.ID] = &pending{c: c, answer: make(chan answer, 1)}
	return p[c.ID], nil
}

// unsent returns the commands that wait for a connection, and marks them as sent.
func (p pendings) unsent() (list [][]byte) {
	var due []*pending
	for _, one := range p {
		if !one.sent {
			one.sent = true
			due = append(due, one)
		}
	}
	slices.SortFunc(due, func(a, b *pending) int { return cmp.Compare(a.c.ID, b.c.ID) })
	for _, one := range due {
		list = append(list, one.c.encode())
	}
	return list
}

// acked takes a page of an answer.
func (p pendings) acked(id int, a Ack, more bool) (c command, ok bool) {
	one := p[id]
	if one == nil {
		return command{}, false
	}
	one.ack.Topics, one.ack.Errors, one.ack.Time = append(one.ack.Topics, a.Topics...), append(one.ack.Errors, a.Errors...), a.Time
	if !more {
		delete(p, id)
		one.answer <- answer{ack: one.ack}
	}
	return one.c, true
}

// refused takes the refusal of a command.
func (p pendings) refused(id int, err error) {
	if one := p[id]; one != nil {
		delete(p, id)
		one.answer <- answer{err: err}
	}
}

// codeUnavailable is the error code of what the server, or the transport, cannot do.
const codeUnavailable = 108

// refuseAll fails all commands: there is no way to send them.
func (p pendings) refuseAll() {
	for id := range p {
		p.refused(id, &Error{Code: codeUnavailable, Message: "no WebSocket"})
	}
}

// disconnected fails the commands that were sent: they are never sent twice.
func (p pendings) disconnected() {
	for id, one := range p {
		if one.sent {
			p.refused(id, ErrDisconnected)
		}
	}
}

// request sends a command once there is a connection, and waits for its whole answer.
func (c *Client) request(ctx context.Context, cmd command) (Ack, error) {
	c.mu.Lock()
	cmd.ID = c.nextID()
	p, err := c.pendings.add(cmd)
	c.mu.Unlock()
	if err != nil {
		return Ack{}, err
	}
	c.poke()
	select {
	case a := <-p.answer:
		return a.ack, a.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pendings, cmd.ID)
		c.mu.Unlock()
		return Ack{}, ctx.Err()
	}
}
