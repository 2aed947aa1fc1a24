package main

import (
	"context"
	"net/http"

	"github.com/lxzan/gws"
)

// gwsServer uses a Broadcaster, the library's own way: the frame is built once and goes into each connection's queue. A
// goroutine empties the queue and then ends. So a slow client does not delay the others, and the publisher has its answer
// before all frames are written. Read buffers are small, and the reader is a new goroutine, as the authors advise for use
// with net/http.
var gwsServer = peer{
	name: "gws", language: "Go", version: module("github.com/lxzan/gws"), serve: serveGWS,
}

// gwsBroadcaster is the server and the library's event handler.
type gwsBroadcaster struct {
	gws.BuiltinEventHandler
	*roster[*gws.Conn]
}

func (b *gwsBroadcaster) OnOpen(c *gws.Conn)           { b.add(c) }
func (b *gwsBroadcaster) OnClose(c *gws.Conn, _ error) { b.remove(c) }

func (b *gwsBroadcaster) broadcast(message []byte) error {
	broadcaster := gws.NewBroadcaster(gws.OpcodeText, message)
	defer broadcaster.Close()
	b.each(func(c *gws.Conn) { broadcaster.Broadcast(c) })
	return nil
}

func serveGWS(ctx context.Context, s site) error {
	b := &gwsBroadcaster{roster: newRoster[*gws.Conn]()}
	upgrader := gws.NewUpgrader(b, &gws.ServerOption{ReadBufferSize: smallBuffer})
	return serveControl(ctx, s, b, func(ctx context.Context) error {
		return serveHTTP(ctx, s.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := upgrader.Upgrade(w, r)
			if err != nil {
				return // Upgrade has answered
			}
			go c.ReadLoop()
		}))
	})
}
