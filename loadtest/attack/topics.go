package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tickcast/loadtest/fleet"
)

// onTopics are attacks with topics and patterns.
var onTopics = []attack{
	{name: "unsub of 1,024 topics, behind", keys: "limits.max_topics_per_connection", run: unsubBehind},
	{name: "new topics again and again", keys: "limits.new_topics_per_second", run: churn, memory: true},
	{name: "200 clients hold 1,000 new topics each", keys: "limits.max_topics", run: holdTopics, memory: true},
	{name: "400 clients with 1,024 topics at once", keys: "flow.slice", run: storm},
	{name: "10,000 clients with 100 topics come back", keys: "flow.slice", run: comeBack},
	{name: "many patterns over many topics, all leave", keys: "limits.max_wildcard_matches", run: patterns, memory: true},
	{name: "a pattern again and again", keys: "limits.wildcard_matches_per_second", run: samePattern},
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
		URL: "ws://" + t.Addr + "/stream", Conns: clients, InFlight: 1000, Workers: 1, Timeout: most,
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
