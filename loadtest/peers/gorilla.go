package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// gorillaServer uses a PreparedMessage, so that a frame is built once for all, and writes it from one goroutine. The chat
// example of its authors has a second goroutine and a channel for each connection to write. Without them a slow client
// delays all others, and each connection takes some 4 KiB less. Read buffers are small, write buffers come from a pool, and
// the reader is a new goroutine, whose stack has not grown in the handler.
var gorillaServer = peer{
	name: "gorilla", language: "Go", version: module("github.com/gorilla/websocket"), serve: serveGorilla,
}

// smallBuffer is the size of read buffers in libraries with one for each connection: clients send little.
const smallBuffer = 256

type gorillaBroadcaster struct{ *roster[*websocket.Conn] }

func (b gorillaBroadcaster) broadcast(message []byte) error {
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, message)
	if err != nil {
		return err
	}
	b.each(func(c *websocket.Conn) { c.WritePreparedMessage(prepared) })
	return nil
}

func serveGorilla(ctx context.Context, s site) error {
	b := gorillaBroadcaster{newRoster[*websocket.Conn]()}
	upgrader := websocket.Upgrader{
		ReadBufferSize:  smallBuffer,
		WriteBufferSize: 1024,
		WriteBufferPool: new(sync.Pool),
	}
	return serveControl(ctx, s, b, func(ctx context.Context) error {
		return serveHTTP(ctx, s.listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return // Upgrade has sent the answer
			}
			b.add(c)
			go func() {
				defer c.Close()
				defer b.remove(c)
				for {
					if _, _, err := c.NextReader(); err != nil {
						return
					}
				}
			}()
		}))
	})
}
