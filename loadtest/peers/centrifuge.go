package main

import (
	"context"

	"github.com/centrifugal/centrifuge"

	"tickcast/loadtest/fleet"
)

// centrifugeServer is the library behind Centrifugo: a node, its WebSocket handler and a channel without history or
// presence. Only it and Tickcast have topics and commands. It has a queue for each client, which a goroutine empties. Clients
// speak its JSON protocol; both commands come in one frame. Its settings are those that save memory: small buffers, a pool
// for writing, commands outside the reader's goroutine. Pings are off.
var centrifugeServer = peer{
	name: "centrifuge", language: "Go", version: module("github.com/centrifugal/centrifuge"), serve: serveCentrifuge,
	clients: func(cfg *fleet.Config) {
		cfg.Subscribe = `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + topic + `"}}`
		cfg.Data = `{"push":`
	},
}

type centrifugeBroadcaster struct{ node *centrifuge.Node }

func (b centrifugeBroadcaster) open() int { return b.node.Hub().NumSubscribers(topic) }

func (b centrifugeBroadcaster) broadcast(message []byte) error {
	_, err := b.node.Publish(topic, message)
	return err
}

func serveCentrifuge(ctx context.Context, s site) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize:             smallBuffer,
		WriteBufferSize:            1024,
		UseWriteBufferPool:         true,
		ProcessCommandsOffReadLoop: true,
		PingPongConfig:             centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1},
	})
	return serveControl(ctx, s, centrifugeBroadcaster{node}, func(ctx context.Context) error {
		return serveHTTP(ctx, s.listen, handler)
	})
}
