package main

import (
	"context"
	"fmt"

	"tickcast/loadtest/bare"
	"tickcast/wsproto"
)

// bareServer is the yardstick: one thread in epoll_wait(2), and for each message one write(2) of a frame built once to
// each socket. It is no usable server: it has no limits, and a client whose socket is full misses the message.
var bareServer = peer{name: "bare", language: "Go", version: thisTree, serve: serveBare}

type bareBroadcaster struct {
	ctx    context.Context
	server *bare.Server
}

func (b *bareBroadcaster) open() int { return b.server.Open() }

func (b *bareBroadcaster) broadcast(message []byte) error {
	sweep, err := b.server.Broadcast(b.ctx, wsproto.AppendFrame(nil, wsproto.OpText, message))
	if err == nil && sweep.Missed > 0 {
		err = fmt.Errorf("%d connections missed the message", sweep.Missed)
	}
	return err
}

func serveBare(ctx context.Context, s site) error {
	server, err := bare.Listen(s.listen)
	if err != nil {
		return err
	}
	return serveControl(ctx, s, &bareBroadcaster{ctx, server}, server.Serve)
}
