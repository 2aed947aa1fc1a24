package main

import (
	"context"
	"math"
	"net/http"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioServer runs in the library's epoll mode (IOModNonBlocking): no goroutine for a connection, one poller for each core.
// It has no prepared messages: WriteMessage copies the message after a header into a buffer from a pool, and writes it at
// once. Connections have no read deadline, which would cost a timer each.
var nbioServer = peer{
	name: "nbio", language: "Go", version: module("github.com/lesismal/nbio"), serve: serveNBIO,
}

type nbioBroadcaster struct{ *roster[*websocket.Conn] }

func (b nbioBroadcaster) broadcast(message []byte) error {
	b.each(func(c *websocket.Conn) { c.WriteMessage(websocket.TextMessage, message) })
	return nil
}

func serveNBIO(ctx context.Context, s site) error {
	logging.SetLevel(logging.LevelError)
	b := nbioBroadcaster{newRoster[*websocket.Conn]()}
	upgrader := websocket.NewUpgrader()
	upgrader.KeepaliveTime = 0
	upgrader.OnOpen(b.add)
	upgrader.OnClose(func(c *websocket.Conn, _ error) { b.remove(c) })
	return serveControl(ctx, s, b, func(ctx context.Context) error {
		engine := nbhttp.NewEngine(nbhttp.Config{
			Network:                 "tcp",
			Addrs:                   []string{s.listen},
			NPoller:                 s.cores,
			MaxLoad:                 math.MaxInt32,
			IOMod:                   nbhttp.IOModNonBlocking,
			ReleaseWebsocketPayload: true,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				upgrader.Upgrade(w, r, nil) // after a failure it has sent the answer
			}),
		})
		if err := engine.Start(); err != nil {
			return err
		}
		<-ctx.Done()
		engine.Stop()
		return nil
	})
}
