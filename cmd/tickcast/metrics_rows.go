package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"tickcast/broadcast"
	"tickcast/eventloop"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// The metrics with a label.
var (
	closedDesc = prometheus.NewDesc("tickcast_websockets_closed_total",
		"WebSockets closed, by status code; 1006 ended without a close frame.", []string{"code"}, nil)
	closedEventsDesc = prometheus.NewDesc("tickcast_event_streams_closed_total",
		"Streams of events closed, by the status code of their last event; 1006 ended without one.", []string{"code"}, nil)
	polledDesc = prometheus.NewDesc("tickcast_polls_answered_total",
		"Long polls and requests for the newest messages that were answered, by result.", []string{"result"}, nil)
	rejectedDesc = prometheus.NewDesc("tickcast_rejected_total",
		"Connections and requests refused before the upgrade, by reason.", []string{"reason"}, nil)
	memoryDesc = prometheus.NewDesc("tickcast_memory_bytes",
		"About the bytes that clients make the server hold, by owner. The embedded NATS and garbage are not among them.", []string{"owner"}, nil)
	textDesc = prometheus.NewDesc("tickcast_upstream_text_total",
		"Messages from NATS that JSON clients are sent as a string since they are no JSON, two values or too deep, by class of topics.", []string{"class"}, nil)
	limitedDesc = prometheus.NewDesc("tickcast_limited_total",
		"Connections, commands and input beyond a limit, by limit. They are refused unless limits.dry_run is set.", []string{"limit"}, nil)
	handshakesDesc = prometheus.NewDesc("tickcast_tls_handshakes_total",
		"TLS handshakes that are over, by result.", []string{"result"}, nil)
	lagDesc = prometheus.NewDesc("tickcast_loop_lag_seconds",
		"How long the newest task waited for its event loop, by loop.", []string{"loop"}, nil)
)

// A statsRow is a metric without labels.
type statsRow struct {
	kind  prometheus.ValueType
	name  string // without tickcast_
	value float64
	help  string
}

func (r *statsRow) desc() *prometheus.Desc {
	return prometheus.NewDesc("tickcast_"+r.name, r.help, nil, nil)
}

// statsRows returns all metrics without labels, with the counts of e and b.
func statsRows(e *eventloop.Stats, b *broadcast.Stats) []statsRow {
	return []statsRow{
		// Connections.
		{gauge, "connections", float64(e.Connections), "Open connections in any state."},
		{gauge, "connections_max", float64(e.MaxConnections), "Connections above which new ones are refused."},
		{gauge, "connections_held", float64(e.Held), "Connections that wait for their turn since limits.connections_per_second is reached."},
		{counter, "connections_accepted_total", float64(e.Accepted), "Connections accepted."},
		{gauge, "websockets", float64(e.WebSockets), "Open WebSockets."},
		{counter, "websockets_opened_total", float64(e.Opened), "WebSockets opened."},
		{gauge, "event_streams", float64(e.EventStreams), "Open streams of Server-Sent Events."},
		{counter, "event_streams_opened_total", float64(e.OpenedEvents), "Streams of Server-Sent Events opened."},
		{gauge, "polls", float64(e.Polls), "Long polls that wait for messages."},
		{gauge, "polled_topics", float64(b.PolledTopics), "Topics and patterns kept for the next poll, all loops together."},
		{counter, "unkept_topics_total", float64(b.UnkeptTopics), "Topics and patterns of polls that found no room among these."},
		{counter, "http_requests_total", float64(e.HTTPRequests), "HTTP requests on the public ports, upgrades among them."},

		{gauge, "users", float64(e.Users), "Users with open connections, by their tokens."},
		{gauge, "tracked_addresses", float64(e.TrackedAddresses), "Addresses in the table of the limits by address."},
		{counter, "untracked_connections_total", float64(e.UntrackedConnections), "Connections admitted uncounted since the table of addresses was full."},
		{counter, "bans_total", float64(e.Bans), "Addresses banned for a time after repeated offences."},
		{counter, "kicked_total", float64(e.Kicked), "WebSockets closed since their user or token was revoked."},
		{gauge, "revocations", float64(e.Revocations), "Revocations in force."},
		{gauge, "auth_keys", float64(e.Keys), "Keys that verify tokens."},
		{counter, "auth_key_fetches_total", float64(e.KeyFetches), "Fetches of auth.jwks_url."},
		{counter, "auth_key_fetch_errors_total", float64(e.KeyFetchErrors), "Fetches of auth.jwks_url that failed; the last good keys are kept."},

		// Traffic with clients.
		{counter, "frames_sent_total", float64(e.FramesSent), "WebSocket frames and events sent."},
		{counter, "sent_bytes_total", float64(e.BytesSent), "Bytes sent to clients."},
		{counter, "received_bytes_total", float64(e.BytesReceived), "Bytes received from clients."},
		{counter, "messages_received_total", float64(e.MessagesReceived), "WebSocket messages received from clients."},
		{counter, "pings_total", float64(e.Pings), "WebSocket pings sent."},
		{counter, "pong_timeouts_total", float64(e.PongTimeouts), "WebSockets closed because nothing was heard within the idle timeout."},
		{counter, "commands_total", float64(b.Commands), "Commands from clients."},
		{counter, "command_errors_total", float64(b.CommandErrors), "Commands from clients answered with an error."},

		{gauge, "input_waiting_bytes", float64(e.InputBytes), "Bytes from clients that wait for their turn."},
		{gauge, "output_waiting_bytes", float64(e.OutputBytes), "Bytes for clients whose sockets are full, beyond those in the kernel."},

		// Compression.
		{counter, "compressed_shared_total", float64(b.SharedCompressed), "Frames compressed once for all subscribers with the same window."},
		{counter, "compressed_own_total", float64(e.OwnCompressed), "Frames compressed for one client alone: context takeover, and echoes."},
		{gauge, "compression_window_bytes", float64(e.WindowBytes), "Bytes kept of earlier messages, the server's and the clients', for context takeover."},

		// TLS.
		{gauge, "tls_handshakes_under_way", float64(e.TLSUnderWay), "TLS handshakes that compute or wait for their client."},
		{counter, "tls_driven_total", float64(e.TLSDriven), "TLS handshakes after which crypto/tls has the records: 7 KB a connection."},
		{gauge, "tls_kept_ciphers", float64(e.TLSKept), "Ciphers kept for busy connections, 1.4 KB each."},

		// Event loops.
		{gauge, "loops", float64(e.Loops), "Event loops."},
		{counter, "panics_total", float64(e.Panics), "Panics caught at the edge of a loop, which closed a connection at most: bugs."},

		// Topics and fan-out.
		{gauge, "subscribers", float64(b.Subscribers), "Connections that can subscribe, by WebSocket, events or polls."},
		{gauge, "subscriptions", float64(b.Subscriptions), "Subscriptions of all connections together."},
		{gauge, "topics", float64(b.Topics), "Distinct topics held."},
		{gauge, "name_bytes", float64(b.NameBytes), "Bytes of the names of topics and interests."},
		{gauge, "filters", float64(b.Filters), "Topics and patterns at a rate with subscribers, of all event loops together."},
		{gauge, "loop_topics", float64(b.ShardTopics), "Topics with subscribers, of all event loops together."},
		{gauge, "loop_topic_places", float64(b.ShardPlaces), "Places in the tables of these, by the ids of all topics."},
		{gauge, "wildcard_matches", float64(b.Pairs), "Pairs of a pattern and a topic that it matches, of all event loops together."},
		{gauge, "interests", float64(b.Interests), "Subjects and patterns that NATS is asked for."},
		{counter, "deliveries_total", float64(b.Deliveries), "Messages written to a subscriber, each subscriber counted."},
		{counter, "coalesced_total", float64(b.Coalesced), "Of the deliveries, those that left together with others in one write."},
		{counter, "conflated_total", float64(b.Conflated), "Messages to a slow subscriber replaced by a newer one."},
		{counter, "mailbox_overflows_total", float64(b.MailboxOverflows), "Messages that found a loop's mailbox full."},
		{gauge, "queued_bytes", float64(b.QueuedBytes), "Bytes of lossless topics that wait for slow subscribers, shared ones counted for each."},
		{gauge, "queue_entries", float64(b.QueueEntries), "Messages of lossless topics in the queues of slow subscribers."},
		{gauge, "queue_places", float64(b.QueuePlaces), "Places in the queues of slow subscribers of lossless topics, 16 bytes each."},
		{gauge, "queue_message_bytes", float64(b.QueueMessages), "Bytes of these that no history holds, each message counted once."},
		{gauge, "history_bytes", float64(b.HistoryBytes), "Bytes of messages kept for clients that come back."},
		{gauge, "newest_bytes", float64(b.NewestBytes), "Bytes of the newest messages of all topics."},
		{counter, "newest_dropped_total", float64(b.Dropped), "Newest messages dropped for flow.newest_bytes."},
		{gauge, "delayed_bytes", float64(b.DelayedBytes), "Bytes of messages that wait for their delay."},
		{counter, "delay_dropped_total", float64(b.DelayDropped), "Messages dropped since too many waited for their delay."},
		{counter, "gaps_total", float64(b.Gaps), "Gaps that subscribers of topics were told of, by topic."},
		{counter, "slow_closed_total", float64(b.SlowClosed), "Subscribers closed since they were too slow for a lossless topic."},
		{counter, "shed_total", float64(b.Shed), "Of these, those closed for the memory budget."},
		{counter, "unmatched_total", float64(b.Unmatched), "Messages of new topics that were not sent to patterns, for lack of room under limits.max_wildcard_matches; counted on each event loop."},

		// NATS.
		{gauge, "upstream_connected", one(b.UpstreamConnected), "1 while connected to NATS."},
		{counter, "upstream_messages_total", float64(b.UpstreamMessages), "Messages received from NATS."},
		{counter, "upstream_received_bytes_total", float64(b.UpstreamBytes), "Bytes of the payloads received from NATS."},
		{counter, "upstream_dropped_total", float64(b.UpstreamDropped), "Messages that NATS delivered faster than they were taken."},
		{counter, "upstream_invalid_total", float64(b.UpstreamInvalid), "Messages from NATS that cannot be sent on: their bytes are not UTF-8, or their subject is beyond a limit."},
		{gauge, "upstream_asked", float64(b.UpstreamAsked), "Lines to NATS that it has not answered."},
		{gauge, "upstream_subscriptions", float64(b.UpstreamSubs), "Subscriptions at NATS, those that end among them."},
		{gauge, "upstream_fences", float64(b.UpstreamFences), "Subscriptions that end once NATS has answered."},
		{gauge, "upstream_table_places", float64(b.UpstreamPlaces), "Places in the tables of subscriptions, which keep their largest size for long."},
		{gauge, "torn_topics", float64(b.Torn), "Topics with a gap in front of their first message, kept for clients that come back."},
		{gauge, "topic_table_places", float64(b.Places), "Places in the tables of topics and interests, which keep their largest size for a while."},
		{gauge, "upstream_refused", float64(b.UpstreamRefused), "Subscriptions that NATS refuses now; they are asked for again."},
		{counter, "upstream_reconnects_total", float64(b.UpstreamReconnects), "Reconnections to NATS."},
		{counter, "published_total", float64(b.Published), "Messages from clients published to NATS."},
		{counter, "publish_errors_total", float64(b.PublishErrors), "Messages from clients that could not be published to NATS."},
	}
}

// one returns 1 for true and 0 for false.
func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
