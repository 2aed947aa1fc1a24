package topics

// Stats are figures since the start, and of now where they have no "since".
type Stats struct {
	Topics    int64 // distinct subjects
	Interests int64 // subjects and patterns that NATS is asked for, lingering ones included

	NameBytes int64 // of both
	Torn      int64 // topics with a gap in front of their first message
	Places    int64 // in the tables of names; see Peak.Places

	QueueEntries  int64 // messages in the queues of slow clients
	QueueMessages int64 // bytes of these that no history holds, each message counted once

	UpstreamConnected  bool
	UpstreamMessages   uint64
	UpstreamBytes      uint64 // of their payloads
	UpstreamDropped    uint64 // messages that the NATS client threw away, since the hub was too slow
	UpstreamInvalid    uint64 // neither JSON nor text, or beyond Config.MaxTopics
	UpstreamReconnects uint64
	UpstreamRefused    int               // subscriptions that NATS refuses now
	UpstreamAsked      int               // lines to NATS that it has not answered
	UpstreamSubs       int               // subscriptions at NATS, those that end among them
	UpstreamPlaces     int               // in the tables of these
	UpstreamFences     int               // of those that end
	UpstreamText       map[string]uint64 // payloads that should be JSON and were sent as a string, by Class.Match

	Conflated        uint64 // messages that a newer one replaced before they reached a shard's mailbox
	MailboxOverflows uint64 // messages beyond the bounds of a mailbox

	HistoryBytes int64  //
	NewestBytes  int64  // of the newest messages of all topics
	Dropped      uint64 // of these, dropped for Config.NewestBytes
	DelayedBytes int64  //
	DelayDropped uint64 // messages without room among those that wait for their delay
	Gaps         uint64 // told, by topic

	Published     uint64 // by clients
	PublishErrors uint64
}

// Stats reads the figures. Any goroutine may call it.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	st := Stats{
		Topics: int64(len(h.topics)), Interests: int64(len(h.interests)), NameBytes: int64(h.nameBytes), Torn: int64(len(h.torn)),
		HistoryBytes: int64(h.history.bytes), NewestBytes: int64(h.newest.bytes), Dropped: h.newest.dropped, DelayedBytes: int64(h.delays.bytes), DelayDropped: h.delays.dropped,
	}
	st.Places = int64(h.topicsPeak.Places(len(h.topics)) + h.interestsPeak.Places(len(h.interests)) + h.feedsPeak.Places(len(h.feeds)))
	up := h.upstream
	h.unlock()
	queues := h.classes[0].queues
	st.QueueEntries, st.QueueMessages = queues.entries.Load(), queues.bytes.Load()
	st.UpstreamConnected = !h.stale.Load()
	st.UpstreamMessages = h.stats.messages.Load()
	st.UpstreamBytes = h.stats.bytes.Load()
	st.UpstreamInvalid = h.stats.invalid.Load() + h.refusals.Load()
	st.Gaps = h.gaps.Load()
	st.UpstreamText = make(map[string]uint64, len(h.classes))
	for _, c := range h.classes {
		st.UpstreamText[c.Match] += c.asText.Load()
	}
	if up != nil {
		c := up.Counts()
		st.UpstreamDropped, st.UpstreamReconnects, st.Conflated = c.Dropped, c.Reconnects, c.Conflated
		st.Published, st.PublishErrors, st.UpstreamRefused = c.Published, c.PublishErrors, c.Refused
		st.UpstreamAsked, st.UpstreamSubs, st.UpstreamPlaces = c.Asked, c.Subscriptions, c.Places
		st.UpstreamFences = c.Fences
	}
	for _, b := range h.boxes {
		st.MailboxOverflows += b.Overflows()
	}
	return st
}
