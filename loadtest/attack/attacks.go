package main

import (
	"context"
	"fmt"
	"sync"
)

// A target is the server as an attack sees it.
type target struct {
	door
	nats *nats
	dir  string // of the props
	note string // for the row; an attack writes it before it ends
}

// An attack works on the target until ctx is done. Its clients leave at the end.
type attack struct {
	name string
	keys string // that bound it
	run  func(ctx context.Context, t *target)

	counts string // metric that counts the attack, without its prefix: it must grow; "" = none
	needs  string // program that it runs; "" = none
	memory bool   // it is about memory
}

// A group holds attacks on servers with the same setting.
type group struct {
	name    string
	on      setting
	attacks []attack
}

var groups = []group{
	{"topics", plain, onTopics},
	{"queues", plain, onQueues},
	{"input", impatient, onInput},
	{"deflate", withDeflate, onDeflate},
	{"addresses", behindProxy, onAddresses},
	{"full", full, onFull},
	{"crowd", crowded, onCrowd},
	{"tokens", withTokens, onTokens},
	{"keys down", withAuthority("http://127.0.0.1:1/"), onAuthority("down", "auth_key_fetch_errors_total")},
	{"keys late", withAuthority("{jwks}/late"), onAuthority("late", "auth_key_fetch_errors_total")},
	{"keys drip", withAuthority("{jwks}/drips"), onAuthority("dripping", "auth_key_fetch_errors_total")},
	{"keys garbage", withAuthority("{jwks}/garbage"), onAuthority("garbage", "auth_key_fetch_errors_total")},
	{"tls", overTLS, onTLS},
}

// each runs f for n clients at the same time, and closes them when ctx is done.
func each(ctx context.Context, t *target, n int, query string, f func(i int, c *client)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, err := t.dial(query)
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

// again runs f on n goroutines again and again until ctx is done.
func again(ctx context.Context, n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				f(i)
			}
		})
	}
	all.Wait()
}
