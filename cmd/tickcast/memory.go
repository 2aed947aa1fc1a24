package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"
	"time"

	"tickcast/broadcast"
	"tickcast/eventloop"
)

// Bytes of the objects that the server holds in large numbers; other bytes are counted. TestAccountIsTheHeap measures them.
const (
	connectionCost   = 512 // conn, subscriber, and gnet's part
	subscriptionCost = 16  // an entry and a place
	topicCost        = 280 // a topic in the hub
	interestCost     = 329 // in a topic or pattern, with its feed
	filterCost       = 195 // a topic or pattern in a shard, with its subscribers
	shardTopicCost   = 130 // a topic in a shard
	placeCost        = 8   // for a topic, in a shard
	pairCost         = 38  // of a pattern and a topic that it matches, in a shard
	hubNameCost      = 1.1 // for each byte of a name in the hub
	upstreamCost     = 275 // a subscription in the NATS client
	tableCost        = 25  // a place in a table of names or subscriptions
	askedCost        = 112 // a line to NATS that it has not answered
	fenceCost        = 48  // a subscription in the NATS client that ends, with the room that append leaves
	tornCost         = 80  // a gap in front of a topic's first message
	queuedCost       = 16  // a place in a queue
)

// memoryOwners returns the approximate bytes of each owner of memory.
func memoryOwners(e *eventloop.Stats, b *broadcast.Stats) map[string]int64 {
	return map[string]int64{
		"connections":   e.Connections * connectionCost,
		"input":         e.InputBytes,
		"output":        e.OutputBytes / 3 * 4, // gnet takes powers of two
		"subscriptions": b.Subscriptions * subscriptionCost,
		"topics":        topicBytes(b),
		"upstream":      int64(b.UpstreamSubs)*upstreamCost + int64(b.UpstreamPlaces)*tableCost + int64(b.UpstreamAsked)*askedCost + int64(b.UpstreamFences)*fenceCost,
		"pairs":         b.Pairs * pairCost,
		"newest":        b.NewestBytes,
		"histories":     b.HistoryBytes,
		"delayed":       b.DelayedBytes,
		"queues":        b.QueuePlaces*queuedCost + b.QueueMessages,
		"windows":       e.WindowBytes,
	}
}

// accounted returns about the bytes of all owners of memory.
func (n *node) accounted() (sum int64) {
	e, b := n.engine.Stats(), n.hub.Stats()
	for _, bytes := range memoryOwners(&e, &b) {
		sum += bytes
	}
	return sum
}

// topicBytes returns about the bytes of topics, interests and filters. The names in the shards are about as long as those in the
// hub.
func topicBytes(b *broadcast.Stats) int64 {
	names := hubNameCost * float64(b.NameBytes)
	if n := b.Topics + b.Interests; n > 0 {
		names += float64(b.NameBytes) / float64(n) * float64(b.Filters)
	}
	return b.Topics*topicCost + b.Places*tableCost + b.Torn*tornCost + b.Interests*interestCost + b.Filters*filterCost + b.ShardTopics*shardTopicCost + b.ShardPlaces*placeCost + int64(names)
}

// ceilingOf returns the largest memory of the process: the configured one, or nine tenths of the memory of the cgroup or the
// machine. The result is never 0.
func ceilingOf(configured int64) int64 {
	if configured > 0 {
		return configured
	}
	least := int64(math.MaxInt64 / 10)
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, _ := os.ReadFile(file)
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			least = min(least, n)
		}
	}
	b, _ := os.ReadFile("/proc/meminfo")
	if f := strings.Fields(string(b)); len(f) > 1 && f[0] == "MemTotal:" {
		if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
			least = min(least, kib<<10)
		}
	}
	return least / 10 * 9
}

// memoryInUse returns the bytes that Go's runtime has and has not returned to the system.
func memoryInUse() int64 {
	s := samplesOf("/memory/classes/total:bytes", "/memory/classes/heap/released:bytes")
	runtimemetrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

const (
	memoryInterval = 100 * time.Millisecond
	memoryFull     = 0.85 // of the ceiling: new connections and topics are refused
	memoryOver     = 0.95 // of the ceiling: kept messages are dropped, and the heaviest client is closed; see broadcast.Shards
)

// holdCeiling keeps the memory of the process under its ceiling until ctx ends.
func (n *node) holdCeiling(ctx context.Context) error {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	full := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		part := float64(memoryInUse()) / float64(n.ceiling)
		if part >= memoryFull && !full { // garbage counts until it is collected
			debug.FreeOSMemory()
			part = float64(memoryInUse()) / float64(n.ceiling)
		}
		if was := full; part >= memoryFull != was {
			full = !was
			n.engine.SetFull(full)
			n.hub.SetFull(full)
			n.log.Warn("memory near runtime.memory_ceiling", "refusing new connections and topics", full, "ceiling", n.ceiling)
		}
		if part >= memoryOver {
			n.hub.Relieve()
		}
	}
}

// samplesOf returns samples of the runtime's metrics, which runtimemetrics.Read fills.
func samplesOf(names ...string) []runtimemetrics.Sample {
	samples := make([]runtimemetrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	return samples
}
