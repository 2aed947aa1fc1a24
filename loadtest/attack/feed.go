package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A nats is a publisher's connection, in NATS's text protocol.
type nats struct {
	net.Conn
	r  *bufio.Reader
	mu sync.Mutex
}

func dialNATS(addr string) (*nats, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	n := &nats{Conn: nc, r: bufio.NewReader(nc)}
	_, err = n.Write([]byte("CONNECT {\"verbose\":false}\r\n"))
	go func() { // answers NATS's pings
		for {
			line, err := n.r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "PING\r\n" {
				n.mu.Lock()
				_, _ = n.Write([]byte("PONG\r\n"))
				n.mu.Unlock()
			}
		}
	}()
	return n, err
}

func (n *nats) publish(subject string, payload []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = fmt.Fprintf(n, "PUB %s %d\r\n%s\r\n", subject, len(payload), payload)
}

const (
	feedTopic    = "by.stander"
	feedInterval = 20 * time.Millisecond
	bystanders   = 20
)

// A watch collects the latencies of the bystanders.
type watch struct {
	mu        sync.Mutex
	latencies []time.Duration
	lost      int // bystanders that were disconnected
}

// phase returns the 99th percentile since the last call.
func (w *watch) phase() (p99 time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.latencies); n > 0 {
		slices.Sort(w.latencies)
		p99 = w.latencies[n*99/100]
	}
	w.latencies = nil
	return p99
}

// feed publishes and watches until ctx is done. It returns when all bystanders have subscribed. Their requests have further lines.
func (w *watch) feed(ctx context.Context, d *door, n *nats, lines ...string) error {
	for range bystanders {
		c, err := d.dial("?topics="+feedTopic, lines...)
		if err != nil {
			return err
		}
		if err := c.acked(); err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = c.Close() })
		go w.read(ctx, c)
	}
	go func() {
		for tick := time.NewTicker(feedInterval); ctx.Err() == nil; <-tick.C {
			n.publish(feedTopic, strconv.AppendInt(nil, time.Now().UnixNano(), 10))
		}
	}()
	return nil
}

func (w *watch) read(ctx context.Context, c *client) {
	for {
		b, err := c.next(time.Minute)
		if err != nil {
			w.mu.Lock()
			if ctx.Err() == nil {
				w.lost++
			}
			w.mu.Unlock()
			return
		}
		var m struct{ D int64 }
		if json.Unmarshal(b, &m) == nil && m.D > 0 {
			w.mu.Lock()
			w.latencies = append(w.latencies, time.Since(time.Unix(0, m.D)))
			w.mu.Unlock()
		}
	}
}
