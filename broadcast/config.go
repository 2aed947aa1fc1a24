package broadcast

import (
	"time"

	"tickcast/broadcast/topics"
	"tickcast/wsproto"
)

// A Config holds the limits of all shards and, embedded, those of their hub. The zero value of a field means its default,
// where one is given.
type Config struct {
	topics.Config

	Node      string        // this server's name, told in hello
	Heartbeat time.Duration // interval at which an idle client hears hb, told in hello; 0 = never

	MaxTopicsPerConnection int // subscriptions of one subscriber; default 1,024
	MaxWildcards           int // subscriptions with wildcards of one subscriber; default 16
	MaxMatches             int // pairs of a pattern and a topic that it matches, in one shard; default 1,000,000
	MatchesPerSecond       int // such pairs that new patterns may make in one shard; default 50,000
	NewTopicsPerSecond     int // topics and patterns new to a shard that one subscriber may name, after MaxTopicsPerConnection at once; default 100
	CommandSteps           int // topics of one command that are subscribed to at once, and snapshots of them; default 128
	MaxMessageSize         int // largest message from a client in bytes, told in hello

	QueueBytes    int           // of a lossless topic's messages waiting for one subscriber; default 128 KiB
	MemoryBudget  int           // of all such queues together; beyond it the slowest clients are closed; 0 = none
	FlushInterval time.Duration // time for which a batch gathers more messages; 0 = none
	ConflateAfter time.Duration // age of a batch beyond FlushInterval from which on it holds only newest values; default 100 ms

	PollBytes            int           // about the most bytes of one answer to a poll; default 256 KiB
	PollLinger           time.Duration // time for which the topics of a poll are kept for the next one; 0 = not at all
	PollTopics           int           // topics and patterns that one shard keeps so; default 100,000
	PollTopicsPerAddress int           // of these, those of one address; default 10,000

	Deflater    *wsproto.Deflater // compresses the frames of clients that join with a window; nil = all frames are plain
	MinCompress int               // bytes of the shortest payload that is compressed

	Subscribe []string // patterns that clients may subscribe to
	Publish   []string // patterns that clients may publish to
}

// setDefaults fills in the defaults, but for those of the hub.
func (c *Config) setDefaults() {
	for _, d := range []struct {
		field  *int
		preset int
	}{
		{&c.MaxTopicsPerConnection, 1024},
		{&c.MaxWildcards, 16},
		{&c.MaxMatches, 1_000_000},
		{&c.MatchesPerSecond, 50_000},
		{&c.NewTopicsPerSecond, 100},
		{&c.CommandSteps, 128},
		{&c.QueueBytes, 128 << 10},
		{&c.PollBytes, 256 << 10},
		{&c.PollTopics, 100_000},
		{&c.PollTopicsPerAddress, 10_000},
	} {
		if *d.field <= 0 {
			*d.field = d.preset
		}
	}
	if c.ConflateAfter <= 0 {
		c.ConflateAfter = conflateAfter
	}
}
