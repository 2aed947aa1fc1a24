package client

import (
	"context"
	"fmt"
	"slices"
)

// openers open a line by each transport. The context ends with the opening.
var openers = map[Transport]func(context.Context, *dial) (line, ending){
	TransportWebSocket: openWebSocket,
	TransportEvents:    openEvents,
	TransportPoll:      openPoll,
}

// transportsOf returns the transports of a list, in order; all of them if it is empty.
func transportsOf(list []Transport) ([]Transport, error) {
	if len(list) == 0 {
		return []Transport{TransportWebSocket, TransportEvents, TransportPoll}, nil
	}
	for i, t := range list {
		if openers[t] == nil {
			return nil, fmt.Errorf("client: %q is no transport: want ws, sse or poll", t)
		}
		if slices.Contains(list[:i], t) {
			return nil, fmt.Errorf("client: transport %q is listed twice", t)
		}
	}
	return slices.Clone(list), nil
}

// A choice is the choice of the transport for the next attempt. Owned by the goroutine of Run.
type choice struct {
	list      []Transport
	now, best int  // indices: of the next attempt, and of the transport that has worked
	upgraded  bool // a WebSocket has been open
	waits     int  // since a line was open
}

// unreachedWaits is the number of waits for a server that seems to be away, before another transport is tried in place of WebSocket.
const unreachedWaits = 2

func (c *choice) name() Transport { return c.list[c.now] }

// isFallback reports whether a WebSocket would be preferred to the present transport.
func (c *choice) isFallback() bool { return slices.Contains(c.list[:c.now], TransportWebSocket) }

// opened notes that a line is open.
func (c *choice) opened(name Transport) {
	c.now = slices.Index(c.list, name)
	c.best, c.waits = c.now, 0
	c.upgraded = c.upgraded || name == TransportWebSocket
}

// next chooses the next transport after one that did not open. It reports false if that would not help: the server was not reached,
// wishes a wait, refuses the client, or has spoken WebSocket before and is more likely to be away.
func (c *choice) next(e *ending) bool {
	if e.opened || c.now+1 == len(c.list) {
		return false
	}
	away := e.code == 0 || e.named
	if c.name() == TransportWebSocket {
		away = (away || c.upgraded) && c.waits < unreachedWaits
	}
	if away || e.refuses(c.name()) {
		return false
	}
	c.now++
	return true
}

// waited goes back to the transport that has worked, or to the first.
func (c *choice) waited(opened bool) {
	if !opened {
		c.best = 0
	}
	c.now = c.best
	c.waits++
}
