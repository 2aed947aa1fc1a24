package main

import (
	"context"
	"fmt"
	"time"
)

// warmUp is the first work of a server: 100 clients come with ten topics and a pattern each, use every command once, read some messages and
// leave. The memory at the start is measured after it, since Go's runtime and the tables take their first size with the first clients, in an
// attack or not. It is small on purpose: an attack has at least ten times as many clients, topics or bytes.
func warmUp(ctx context.Context, t *target) {
	const clients, messages = 100, 10
	each(ctx, t, clients, "", func(i int, c *client) {
		topics := named(fmt.Sprintf("warm.%d", i), 10)
		c.command("sub", append(topics, fmt.Sprintf("warm.%d.*", i), fmt.Sprintf("ord.%d", i)), "")
		if c.acked() != nil {
			return
		}
		for range messages {
			t.nats.publish(topics[0], []byte(`{"bid":1}`))
			t.nats.publish(fmt.Sprintf("ord.%d", i), []byte(`{"bid":1}`))
		}
		c.send(`{"op":"ping"}`)
		c.send(fmt.Sprintf(`{"op":"pub","id":1,"topic":"pub.%d","data":1}`, i))
		c.send(`{"op":"list"}`)
		c.command("unsub", topics[:5], "")
		for range 3 { // pub, list and unsub
			if c.acked() != nil {
				return
			}
		}
	})
}

const (
	warmUpName = "warm-up"
	warmUpTime = 2 * time.Second
	warmUpEnds = 12 * time.Second // nats.linger, then runtime.trim_after
)

// warmUp runs the warm-up on s, and waits until s has given back the memory that it took.
func (s *server) warmUp(p *props) error {
	a := attack{name: warmUpName}
	_, done, err := a.start(s, p, warmUpTime)
	if err != nil {
		return err
	}
	if note := <-done; note != "" {
		return fmt.Errorf("the warm-up: %s", note)
	}
	time.Sleep(warmUpEnds)
	return nil
}

// warms reports whether the servers of g take the clients of the warm-up: no token, and no limit of connections that they could reach.
func (g *group) warms() bool { return g.name == "topics" || g.name == "queues" }
