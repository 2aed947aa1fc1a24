package broadcast

import (
	"cmp"
	"slices"

	"tickcast/broadcast/topics"
	"tickcast/broadcast/wire"
)

// Shards are the shards of all event loops over one hub.
type Shards struct {
	*topics.Hub
	list   []*Shard
	budget budget // of all queues of lossless topics
}

// New returns a hub and its shards. They deliver the messages that Publish is given; Run connects them to upstream.
func New(cfg Config) *Shards {
	cfg.setDefaults()
	s := &Shards{Hub: topics.New(cfg.Config)}
	cfg.Config = *s.Hub.Config()
	hello := wire.Hello(wire.HelloInfo{
		Node: cfg.Node, Heartbeat: cfg.Heartbeat, Topics: cfg.MaxTopicsPerConnection, MessageBytes: cfg.MaxMessageSize,
	})
	s.budget.limit = int64(cfg.MemoryBudget)
	for i := range cfg.Shards {
		s.list = append(s.list, newShard(s.Hub, &cfg, i, hello, &s.budget))
	}
	s.budget.shards = s.list
	return s
}

// Shard returns shard i, 0 <= i < Config.Shards.
func (s *Shards) Shard(i int) *Shard { return s.list[i] }

// Relieve drops the memory that is kept for future clients, and ends the client whose queue weighs the most. Any goroutine may call it.
func (s *Shards) Relieve() {
	s.Hub.Relieve()
	now := s.Now()
	heaviest := slices.MaxFunc(s.list, func(a, b *Shard) int {
		return cmp.Compare(a.slow.largest.weight(now), b.slow.largest.weight(now))
	})
	if heaviest.slow.largest.bytes.Load() > 0 {
		heaviest.slow.forced.Store(true)
		heaviest.Wake()
	}
}

// Stats are the figures of the hub and of all shards: since the start, and of now where they have no "since".
type Stats struct {
	topics.Stats

	Subscribers   int64 // clients that have joined
	Subscriptions int64 // held by them

	Filters     int64 // topics and patterns at a rate, of each shard
	ShardTopics int64 // topics of each shard
	ShardPlaces int64 // places for these, by the ids of the hub: topics that others hold or that have gone leave free ones
	Pairs       int64 // of a pattern and a topic that it matches, of each shard

	Deliveries       uint64 // data frames handed to the outlets
	Coalesced        uint64 // of these, those that were written together with others
	SharedCompressed uint64 // frames that were compressed for all subscribers with the same window

	QueuedBytes int64  // of lossless topics, waiting for slow subscribers
	QueuePlaces int64  // in the queues of these
	SlowClosed  uint64 // subscribers closed since they were too slow for a lossless topic
	Shed        uint64 // of these, for Config.MemoryBudget

	PolledTopics int64  // kept for the next poll
	UnkeptTopics uint64 // of polls, for which there was no room
	Unmatched    uint64 // messages of new topics that patterns did not bring, for lack of room under Config.MaxMatches

	Commands      uint64
	CommandErrors uint64
}

// Stats reads the figures. Any goroutine may call it.
func (s *Shards) Stats() Stats {
	st := Stats{Stats: s.Hub.Stats(), QueuedBytes: s.budget.total.Load(), QueuePlaces: s.budget.places.Load()}
	for _, shard := range s.list {
		figures := &shard.stats
		st.Subscribers += figures.subscribers.Load()
		st.Subscriptions += figures.subscriptions.Load()
		st.Deliveries += figures.deliveries.Load()
		st.Coalesced += figures.coalesced.Load()
		st.SlowClosed += figures.slow.Load()
		st.Shed += figures.shed.Load()
		st.Filters += figures.filters.Load()
		st.ShardTopics += figures.topics.Load()
		st.ShardPlaces += figures.places.Load()
		st.Pairs += figures.pairs.Load()
		st.Unmatched += figures.unmatched.Load()
		st.Conflated += figures.conflated.Load()
		st.PolledTopics += figures.lingering.Load()
		st.UnkeptTopics += figures.unkept.Load()
		st.Commands += figures.commands.Load()
		st.CommandErrors += figures.errors.Load()
		st.SharedCompressed += figures.compressed.Load()
	}
	return st
}
