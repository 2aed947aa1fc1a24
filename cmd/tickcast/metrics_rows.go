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

// Metrics with a label.
var (
	closedDesc = prometheus.NewDesc("tickcast_websockets_closed_total",
		"WebSockets closed, by status code; 1006 ended without a close frame.", []string{"code"}, nil)
	rejectedDesc = prometheus.NewDesc("tickcast_rejected_total",
		"Connections and requests refused before the upgrade, by reason.", []string{"reason"}, nil)
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

// statsRows returns all metrics without labels, with the values of e and b.
func statsRows(e *eventloop.Stats, b *broadcast.Stats) []statsRow {
	return []statsRow{
		// Connections.
		{gauge, "connections", float64(e.Connections), "Open connections in any state."},
		{gauge, "connections_max", float64(e.MaxConnections), "Connections above which new ones are refused."},
		{counter, "connections_accepted_total", float64(e.Accepted), "Connections accepted."},
		{gauge, "websockets", float64(e.WebSockets), "Open WebSockets."},
		{counter, "websockets_opened_total", float64(e.Opened), "WebSockets opened."},
		{counter, "http_requests_total", float64(e.HTTPRequests), "HTTP requests on the public ports, upgrades among them."},

		// Traffic with clients.
		{counter, "frames_sent_total", float64(e.FramesSent), "WebSocket frames sent."},
		{counter, "sent_bytes_total", float64(e.BytesSent), "Bytes sent to clients."},
		{counter, "received_bytes_total", float64(e.BytesReceived), "Bytes received from clients."},
		{counter, "messages_received_total", float64(e.MessagesReceived), "WebSocket messages received from clients."},
		{counter, "pings_total", float64(e.Pings), "WebSocket pings sent."},
		{counter, "pong_timeouts_total", float64(e.PongTimeouts), "WebSockets closed because nothing was heard within the idle timeout."},
		{counter, "commands_total", float64(b.Commands), "Commands from clients."},
		{counter, "command_errors_total", float64(b.CommandErrors), "Commands from clients answered with an error."},

		// Compression.
		{counter, "compressed_shared_total", float64(b.SharedCompressed), "Frames compressed once for all subscribers with the same window."},
		{counter, "compressed_own_total", float64(e.OwnCompressed), "Frames compressed for one client alone: context takeover, and echoes."},
		{gauge, "compression_window_bytes", float64(e.WindowBytes), "Bytes kept of earlier messages, the server's and the clients', for context takeover."},

		// Event loops.
		{gauge, "loops", float64(e.Loops), "Event loops."},
		{counter, "panics_total", float64(e.Panics), "Panics caught at the edge of a loop, which closed a connection at most: bugs."},

		// Topics and fan-out.
		{gauge, "subscribers", float64(b.Subscribers), "Connections that can subscribe."},
		{gauge, "subscriptions", float64(b.Subscriptions), "Subscriptions of all connections together."},
		{gauge, "topics", float64(b.Topics), "Distinct topics held."},
		{gauge, "interests", float64(b.Interests), "Subjects and patterns that NATS is asked for."},
		{counter, "deliveries_total", float64(b.Deliveries), "Messages written to a subscriber, each subscriber counted."},
		{counter, "coalesced_total", float64(b.Coalesced), "Of the deliveries, those that left together with others in one write."},
		{counter, "conflated_total", float64(b.Conflated), "Messages to a slow subscriber replaced by a newer one."},
		{counter, "mailbox_overflows_total", float64(b.MailboxOverflows), "Messages that found a loop's mailbox full."},
		{gauge, "queued_bytes", float64(b.QueuedBytes), "Bytes of lossless topics that wait for slow subscribers, shared ones counted for each."},
		{gauge, "history_bytes", float64(b.HistoryBytes), "Bytes of messages kept for clients that come back."},
		{gauge, "delayed_bytes", float64(b.DelayedBytes), "Bytes of messages that wait for their delay."},
		{counter, "delay_dropped_total", float64(b.DelayDropped), "Messages dropped since too many waited for their delay."},
		{counter, "gaps_total", float64(b.Gaps), "Gaps that subscribers of topics were told of, by topic."},
		{counter, "slow_closed_total", float64(b.SlowClosed), "Subscribers closed since they were too slow for a lossless topic."},
		{counter, "shed_total", float64(b.Shed), "Of these, those closed for the memory budget."},

		// NATS.
		{gauge, "upstream_connected", one(b.UpstreamConnected), "1 while connected to NATS."},
		{counter, "upstream_messages_total", float64(b.UpstreamMessages), "Messages received from NATS."},
		{counter, "upstream_received_bytes_total", float64(b.UpstreamBytes), "Bytes of the payloads received from NATS."},
		{counter, "upstream_dropped_total", float64(b.UpstreamDropped), "Messages that NATS delivered faster than they were taken."},
		{counter, "upstream_invalid_total", float64(b.UpstreamInvalid), "Messages from NATS that cannot be sent on: their bytes are not UTF-8, or their subject is beyond a limit."},
		{counter, "upstream_reconnects_total", float64(b.UpstreamReconnects), "Reconnections to NATS."},
		{counter, "published_total", float64(b.Published), "Messages from clients published to NATS."},
		{counter, "publish_errors_total", float64(b.PublishErrors), "Messages from clients that could not be published to NATS."},
	}
}

// one returns 1 for true.
func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
