package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// coderServer writes to one connection after the other. The library has no prepared messages, so each frame is built anew.
// CloseRead is its way to read from connections that only listen. Its buffers are those of net/http, 4 KiB for each
// direction, and cannot be changed. Writes have no deadline, which would cost a timer each.
var coderServer = peer{
	name: "coder", language: "Go", version: module("github.com/coder/websocket"), serve: serveCoder,
}

type coderBroadcaster struct{ *roster[*websocket.Conn] }

func (b coderBroadcaster) broadcast(message []byte) error {
	ctx := context.Background()
	b.each(func(c *websocket.Conn) { c.Write(ctx, websocket.MessageText, message) })
	return nil
}

func serveCoder(ctx context.Context, s site) error {
	b := coderBroadcaster{newRoster[*websocket.Conn]()}
	return serveControl(ctx, s, b, func(ctx context.Context) error {
		return serveHTTP(ctx, s.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return // Accept has sent the answer
			}
			b.add(c)
			gone := c.CloseRead(context.Background())
			context.AfterFunc(gone, func() { b.remove(c) })
		}))
	})
}
