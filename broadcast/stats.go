package broadcast

// Stats are figures since the start, and of now where they have no "since".
type Stats struct {
	Subscribers   int64 // clients that have joined
	Subscriptions int64 // held by them
	Topics        int64 // distinct subjects
	Interests     int64 // subjects and patterns that NATS is asked for, lingering ones included

	UpstreamConnected  bool
	UpstreamMessages   uint64
	UpstreamBytes      uint64 // of their payloads
	UpstreamDropped    uint64 // thrown away by the NATS client, since the hub was too slow
	UpstreamInvalid    uint64 // neither JSON nor text, or beyond Config.MaxTopics
	UpstreamReconnects uint64

	Deliveries       uint64 // data frames handed to the outlets
	Coalesced        uint64 // of these, those that were written together with others
	Conflated        uint64 // messages that a newer one replaced for a client or shard that was behind
	MailboxOverflows uint64 // messages that did not fit into a shard's queue
	SharedCompressed uint64 // frames that were compressed for all subscribers with the same window

	QueuedBytes  int64  // of lossless topics, waiting for slow subscribers
	HistoryBytes int64  //
	DelayedBytes int64  //
	DelayDropped uint64 // messages that did not fit among those that wait for their delay
	Gaps         uint64 // told, by topic
	SlowClosed   uint64 // subscribers closed since they were too slow for a lossless topic
	Shed         uint64 // of these, for Config.MemoryBudget

	Commands      uint64
	CommandErrors uint64
	Published     uint64 // by clients
	PublishErrors uint64
}

// Stats reads the figures. Any goroutine may call it.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	st := Stats{
		Topics: int64(len(h.topics)), Interests: int64(len(h.interests)),
		HistoryBytes: int64(h.kept.bytes), DelayedBytes: int64(h.delays.bytes),
	}
	up := h.upstream
	h.mu.Unlock()
	st.UpstreamConnected = !h.stale.Load()
	st.UpstreamMessages = h.stats.messages.Load()
	st.UpstreamBytes = h.stats.bytes.Load()
	st.UpstreamInvalid = h.stats.invalid.Load() + h.stats.refused.Load()
	st.QueuedBytes = h.queued.Load()
	st.DelayDropped = h.delays.dropped.Load()
	st.Gaps = h.stats.gaps.Load()
	st.Conflated = h.stats.conflated.Load()
	st.Published = h.stats.published.Load()
	st.PublishErrors = h.stats.publishErrors.Load()
	if n, ok := up.(*NATS); ok {
		st.UpstreamDropped = n.dropped()
		st.UpstreamReconnects = n.reconnects.Load()
	}
	for _, s := range h.shards {
		st.Subscribers += s.stats.subscribers.Load()
		st.Subscriptions += s.stats.subscriptions.Load()
		st.Deliveries += s.stats.deliveries.Load()
		st.Coalesced += s.stats.coalesced.Load()
		st.SlowClosed += s.stats.slow.Load()
		st.Shed += s.stats.shed.Load()
		st.Conflated += s.stats.conflated.Load()
		st.Commands += s.stats.commands.Load()
		st.CommandErrors += s.stats.errors.Load()
		st.SharedCompressed += s.stats.compressed.Load()
		st.MailboxOverflows += s.mailbox.overflows()
	}
	return st
}
