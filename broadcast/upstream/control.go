package upstream

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"tickcast/broadcast/topics"
)

// subscribeControl subscribes to the control subject. The hub has no part in it: its messages never belong to a topic.
func subscribeControl(nc *nats.Conn, cfg Config) error {
	if cfg.Control == "" || cfg.OnControl == nil {
		return nil
	}
	if _, err := nc.Subscribe(cfg.Control, func(m *nats.Msg) { cfg.OnControl(m.Data) }); err != nil {
		return fmt.Errorf("upstream: subscribe to the control subject: %w", err)
	}
	return nil
}

// Control sends a message to all servers on the control subject, this one included. It returns an error while NATS is away.
func (n *NATS) Control(data []byte) error {
	nc := n.conns[0].nc
	switch {
	case n.control == "":
		return errNoControl
	case !nc.IsConnected():
		return topics.ErrAway
	}
	return nc.Publish(n.control, data)
}
