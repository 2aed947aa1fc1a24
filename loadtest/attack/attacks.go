package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tickcast/loadtest/fleet"
)

// A target is the server as an attack sees it.
type target struct {
	addr string
	nats *nats
	note string // for the row; an attack writes it before it ends
}

// An attack works on the target until ctx is done. Its clients leave at the end.
type attack struct {
	name string
	keys string // that bound it
	run  func(ctx context.Context, t *target)

	memory bool // it is about memory
}

var attacks = []attack{
	{"half a request, for ever", "limits.handshake_timeout", slowloris, false},
	{"pings, and no reading", "flow.queue_bytes", deafFlood("", "\x89\x80\x01\x02\x03\x04"), false},
	{"lists of long names, and no reading", "flow.queue_bytes", deafLists, true},
	{"a large message, and no reading", "flow.queue_bytes", largeMessages, true},
	{"unsub of 1,024 topics, behind", "limits.max_topics_per_connection", unsubBehind, false},
	{"new topics again and again", "limits.new_topics_per_second", churn, true},
	{"200 clients hold 1,000 new topics each", "limits.max_topics", holdTopics, true},
	{"400 clients with 1,024 topics at once", "flow.slice", storm, false},
	{"10,000 clients with 100 topics come back", "flow.slice", comeBack, false},
	{"many patterns over many topics, all leave", "limits.max_wildcard_matches", patterns, true},
	{"a pattern again and again", "limits.wildcard_matches_per_second", samePattern, false},
	{"replays, and no reading", "flow.memory_budget", replays, true},
	{"pub of 16 KiB to new topics", "flow.newest_bytes", publishing, true},
}

// each runs f for n clients at the same time, and closes them when ctx is done.
func each(ctx context.Context, t *target, n int, query string, f func(i int, c *client)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, err := dial(t.addr, query)
			if err != nil {
				return
			}
			end := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer end()
			f(i, c)
			<-ctx.Done()
		})
	}
	all.Wait()
}

// named returns n topics with a prefix.
func named(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s.%d", prefix, i))
	}
	return list
}

// chunks cuts a list into commands that fit into limits.max_message_size.
func chunks(topics []string) (parts [][]string) {
	for size, first, i := 0, 0, 0; i < len(topics); i++ {
		if size += len(topics[i]) + 3; size > 15_000 || i == len(topics)-1 {
			parts = append(parts, topics[first:i+1])
			first, size = i+1, 0
		}
	}
	return parts
}

func slowloris(ctx context.Context, t *target) {
	for ctx.Err() == nil {
		func() {
			c, err := dial(t.addr, "/x HTTP/1.1\r\nX: ")
			if err == nil {
				_ = c.Close()
			}
		}()
		time.Sleep(time.Millisecond)
	}
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

func unsubBehind(ctx context.Context, t *target) {
	topics := named("q", 1000)
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		each(short, t, 4, "", func(_ int, c *client) {
			c.deafen()
			c.command("sub", topics, "")
			for range 3 {
				for _, topic := range topics {
					t.nats.publish(topic, []byte(`"`+strings.Repeat("q", 100)+`"`))
				}
			}
			time.Sleep(500 * time.Millisecond)
			c.command("unsub", topics, "")
		})
		cancel()
	}
}

func churn(ctx context.Context, t *target) {
	each(ctx, t, 4, "", func(i int, c *client) {
		for n := 0; ctx.Err() == nil; n++ {
			topics := named(fmt.Sprintf("c%d.%d", i, n), 1000)
			c.command("sub", topics, "")
			c.command("unsub", topics, "")
			for range 2 {
				if c.acked() != nil {
					return
				}
			}
		}
	})
}

func holdTopics(ctx context.Context, t *target) {
	each(ctx, t, 200, "", func(i int, c *client) {
		c.command("sub", named(fmt.Sprintf("hold.%d", i), 1000), "")
		_ = c.acked()
	})
}

func storm(ctx context.Context, t *target) {
	topics := named("s", 1024)
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		ready := make(chan struct{})
		time.AfterFunc(500*time.Millisecond, func() { close(ready) })
		each(short, t, 400, "", func(_ int, c *client) {
			<-ready
			c.command("sub", topics, "")
			_ = c.acked()
		})
		cancel()
	}
}

// comeBack opens clients as fast as they can, and lets all of them leave and come back at the same time.
func comeBack(ctx context.Context, t *target) {
	const clients, most = 10_000, 30 * time.Second
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*most)
	defer cancel()
	begin := time.Now()
	f, err := fleet.Start(short, fleet.Config{
		URL: "ws://" + t.addr + "/stream", Conns: clients, InFlight: 1000, Workers: 1, Timeout: most,
		Topics: named("back", 1000), TopicsPerConn: 100,
	})
	if err != nil {
		t.note = err.Error()
		return
	}
	defer f.Close()
	if err := f.WaitSubscribed(short); err != nil {
		t.note = err.Error()
		return
	}
	t.note = fmt.Sprintf("all answered after %.1f s", time.Since(begin).Seconds())
	time.Sleep(time.Second)
	begin = time.Now()
	left := f.Storm(1)
	for s := f.Sample(false); s.Totals.Away > 0 && short.Err() == nil; s = f.Sample(false) {
		time.Sleep(20 * time.Millisecond)
	}
	t.note += fmt.Sprintf(", %d of them back and answered after %.1f s", left, time.Since(begin).Seconds())
}

func patterns(ctx context.Context, t *target) {
	each(ctx, t, 80, "", func(i int, c *client) {
		var names []string
		for k := i * 16; i < 64 && k < i*16+16; k++ {
			b := []byte(strings.Repeat("a.", 12))
			for bit := range 12 {
				if k>>bit&1 == 1 {
					b[2*bit] = '*'
				}
			}
			names = append(names, string(b)+">")
		}
		if i >= 64 {
			names = named(strings.Repeat("a.", 12)+fmt.Sprint(i), 256)
		}
		for _, part := range chunks(names) {
			c.command("sub", part, "")
			if c.acked() != nil {
				return
			}
		}
	})
}

func samePattern(ctx context.Context, t *target) {
	hold := named("h", 1000)
	each(ctx, t, 10, "", func(i int, c *client) {
		if i == 0 {
			c.command("sub", append(hold, "h.*"), "")
		}
		for ctx.Err() == nil && i > 0 {
			c.command("sub", []string{"h.*"}, "")
			c.command("unsub", []string{"h.*"}, "")
			c.send(`{"op":"list"}`)
			if c.acked() != nil {
				return
			}
		}
	})
}

func replays(ctx context.Context, t *target) {
	topics := named("ord", 50)
	first, err := dial(t.addr, "?topics="+strings.Join(topics, ","))
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
