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

// redial makes a new connection of nats.go for c after one that was closed for good. keep subscribes to the subjects of the hub on it.
func (n *NATS) redial(c *conn) (*nats.Conn, error) {
	nc, err := n.dial(c)
	if err != nil || c != n.conns[0] {
		return nc, err
	}
	if err := subscribeControl(nc, n.cfg); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// Control sends a message to all servers on the control subject, this one included. It returns an error while NATS is away.
func (n *NATS) Control(data []byte) error {
	nc := n.conns[0].current()
	switch {
	case n.control == "":
		return errNoControl
	case !nc.IsConnected():
		return topics.ErrAway
	}
	return nc.Publish(n.control, data)
}
