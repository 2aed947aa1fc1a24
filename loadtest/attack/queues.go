package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// onQueues are attacks on what the server keeps for clients.
var onQueues = []attack{
	{name: "pings, and no reading", keys: "flow.queue_bytes", run: deafFlood("", "\x89\x80\x01\x02\x03\x04")},
	{name: "lists of long names, and no reading", keys: "flow.queue_bytes", run: deafLists, memory: true},
	{name: "a large message, and no reading", keys: "flow.queue_bytes", run: largeMessages, memory: true},
	{name: "replays, and no reading", keys: "flow.memory_budget", run: replays, memory: true},
	{name: "pub of 16 KiB to new topics", keys: "flow.newest_bytes", run: publishing, memory: true},
	{name: "SSE and long polls, and no reading", keys: "flow.queue_bytes", run: deafStreams, memory: true},
}

func deafFlood(query, bytes string) func(context.Context, *target) {
	flood := []byte(strings.Repeat(bytes, 2000))
	return func(ctx context.Context, t *target) {
		for ctx.Err() == nil {
			short, cancel := context.WithTimeout(ctx, time.Second)
			each(short, t, 20, query, func(_ int, c *client) {
				c.deafen()
				for short.Err() == nil {
					if _, err := c.Write(flood); err != nil {
						return
					}
				}
			})
			cancel()
		}
	}
}

func deafLists(ctx context.Context, t *target) {
	each(ctx, t, 100, "", func(i int, c *client) {
		c.deafen()
		for _, part := range chunks(named(strings.Repeat("n", 200), 1000)) {
			c.command("sub", part, "")
			if c.acked() != nil {
				return
			}
		}
		for ctx.Err() == nil {
			c.send(`{"op":"list"}`)
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func largeMessages(ctx context.Context, t *target) {
	large := []byte(`"` + strings.Repeat("x", 500_000) + `"`)
	go func() {
		for ctx.Err() == nil {
			t.nats.publish("large", large)
			time.Sleep(200 * time.Millisecond)
		}
	}()
	each(ctx, t, 50, "?topics=large", func(_ int, c *client) {
		c.deafen()
		for ctx.Err() == nil {
			c.send(`{"op":"ping"}`)
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func replays(ctx context.Context, t *target) {
	topics := named("ord", 50)
	first, err := t.dial("?topics=" + strings.Join(topics, ","))
	if err != nil {
		return
	}
	defer first.Close()
	b := []byte{}
	for !strings.Contains(string(b), `"cursor":"`) {
		if b, err = first.next(5 * time.Second); err != nil {
			return
		}
	}
	_, cursor, _ := strings.Cut(string(b), `"cursor":"`)
	cursor, _, _ = strings.Cut(cursor, `"`)
	go func() {
		for {
			if _, err := first.next(time.Minute); err != nil {
				return
			}
		}
	}()
	for range 400 {
		for _, topic := range topics {
			t.nats.publish(topic, []byte(`"`+strings.Repeat("y", 100)+`"`))
		}
		time.Sleep(time.Millisecond)
	}
	each(ctx, t, 20, "", func(_ int, c *client) {
		c.deafen()
		c.command("sub", topics, cursor)
	})
}

func publishing(ctx context.Context, t *target) {
	data := `,"data":"` + strings.Repeat("p", 16_000) + `"}`
	each(ctx, t, 5, "?topics=pub.%3E", func(i int, c *client) {
		go func() {
			for {
				if _, err := c.next(time.Minute); err != nil {
					return
				}
			}
		}()
		for n := 0; ctx.Err() == nil; n++ {
			c.send(fmt.Sprintf(`{"op":"pub","topic":"pub.%d.%d"`, i, n) + data)
			time.Sleep(time.Millisecond)
		}
	})
}

// deafStreams opens event streams and long polls of a topic with large messages, and reads nothing.
func deafStreams(ctx context.Context, t *target) {
	large := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
	go func() {
		for ctx.Err() == nil {
			t.nats.publish("large", large)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	again(ctx, 200, func(i int) {
		c, err := t.connect()
		if err != nil {
			return
		}
		defer c.Close()
		c.deafen()
		accept := "text/event-stream"
		if i%2 == 1 {
			accept = "application/json"
		}
		for range 20 {
			_, _ = fmt.Fprintf(c, "GET /stream?topics=large HTTP/1.1\r\nHost: test\r\nAccept: %s\r\n\r\n", accept)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	})
}
