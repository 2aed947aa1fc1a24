package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A follower is a client that wants every message, and comes back to any node with its cursor.
type follower struct {
	nodes []string
	topic string // or a pattern
	rng   *rand.Rand

	mu     sync.Mutex
	cursor string
	epoch  string
	next   [clusterTopics]int // the number that the next message of each topic has
	began  [clusterTopics]bool
	faults []string
	back   int // resumed with recovered
}

func (f *follower) fault(format string, v ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) < 3 {
		f.faults = append(f.faults, fmt.Sprintf(format, v...))
	}
}

// follow reads until ctx ends, over all ends of connections.
func (f *follower) follow(ctx context.Context) {
	for ctx.Err() == nil {
		node := f.nodes[f.rng.IntN(len(f.nodes))]
		f.once(ctx, node)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(50+f.rng.IntN(300)) * time.Millisecond):
		}
	}
}

// clusterSilence is the time without a message after which a follower tries another node: heartbeats come more often.
const clusterSilence = 4 * time.Second

// once follows at one node, until the connection ends.
func (f *follower) once(ctx context.Context, node string) {
	q := url.Values{"topics": {f.topic}}
	if f.cursor != "" {
		q.Set("after", f.cursor)
	}
	dial, cancel := context.WithTimeout(ctx, clusterSilence)
	c, _, err := websocket.Dial(dial, "ws://"+node+"/stream?"+q.Encode(), nil)
	cancel()
	if err != nil {
		return
	}
	defer c.CloseNow()
	end := time.Now().Add(time.Duration(1+f.rng.IntN(8)) * time.Second) // and then it moves on
	for ctx.Err() == nil && time.Now().Before(end) {
		read, cancel := context.WithTimeout(ctx, clusterSilence)
		_, b, err := c.Read(read)
		cancel()
		if err != nil || !f.take(node, b) {
			return
		}
	}
}

// take judges one message. It reports false if the client should try again.
func (f *follower) take(node string, b []byte) bool {
	var m struct {
		Op     string
		T, K   string
		S      uint64
		D      int
		Why    string
		Topics []json.RawMessage
		Errors []struct{ Msg string }
	}
	if err := json.Unmarshal(b, &m); err != nil {
		f.fault("%s: %v", b, err)
		return false
	}
	switch {
	case m.Op == "ack":
		var t struct {
			Cursor    string
			Recovered *bool
		}
		if len(m.Errors) > 0 || len(m.Topics) == 0 || json.Unmarshal(m.Topics[0], &t) != nil {
			return false // the stream is not there now
		}
		if t.Recovered != nil && !*t.Recovered {
			// The node cannot reach as far as the cursor now, within its patience. The client keeps its cursor and tries again.
			return false
		}
		if t.Recovered != nil {
			f.mu.Lock()
			f.back++
			f.mu.Unlock()
		}
		if f.cursor == "" && t.Cursor != "" {
			f.cursor = t.Cursor
		}
		f.epoch, _, _ = strings.Cut(t.Cursor, ":")
		if f.epoch == "" {
			f.epoch, _, _ = strings.Cut(f.cursor, ":")
		}
	case m.Op == "gap":
		f.fault("%s told a gap on %s: %s", node, m.T, m.Why)
	case m.T != "" && m.Op == "" && m.K == "":
		i := m.D % clusterTopics
		n := m.D / clusterTopics
		f.mu.Lock()
		want, began := f.next[i], f.began[i]
		f.next[i], f.began[i] = n+1, true
		f.mu.Unlock()
		if began && n != want {
			f.fault("%s: message %d of %s, want %d", node, n, m.T, want)
		}
		if f.epoch != "" {
			f.cursor = f.epoch + ":" + strconv.FormatUint(m.S, 10)
		}
	}
	return true
}

// done reports whether the follower has the last message of each of its topics, and what it lacks.
func (f *follower) done(counts []int) (lacks string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, n := range counts {
		name := fmt.Sprintf("ord.%d", i)
		if (f.topic == name || f.topic == "ord.*") && f.next[i] < n {
			return fmt.Sprintf("%s has %d of %d of %s", f.topic, f.next[i], n, name)
		}
	}
	return ""
}
