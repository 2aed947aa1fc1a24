// Package upstream connects a hub of package topics to NATS. Only this package and package jetstream use the library nats.go
// in the server.
//
// # Layout
//
//	proto.go   the lines of NATS's protocol
//	asked.go   the subscriptions that await an answer of NATS, or were refused
//	guard.go   the socket under the library
//	config.go  Config: how NATS is reached; dialer.go: sockets; dial.go: connections
//	conn.go    one connection: its guards, and the goroutine that receives
//	keep.go    its subscriptions, kept from one connection to the next
//	table.go   the table of subscriptions inside nats.go, which is to become small
//	control.go the subject of messages for the servers themselves
//	store.go   messages of clients to streams, and the answers
//	nats.go    NATS: all connections as a topics.Upstream
//	stream.go  a stream of package jetstream as the hub sees it
//
// # Why
//
// There is no goroutine per topic. nats.go would start one for each asynchronous subscription, so all subscriptions of a
// connection share one channel and one goroutine. This also keeps the order of every subject. A hash assigns subjects to
// connections.
//
// nats.go reports events on a goroutine of its own, before or after the messages that they stand between, and it panics or
// closes its connection for good at lines that it does not expect. A guard therefore reads the lines first. It puts events
// (the hole of an outage, a refused subscription) into the channel as marks, at their places among the messages. It never
// reads more than the channel has room for, so nats.go never drops a message: such a loss would have no known size and
// place.
//
// The guard also does TLS, since it has to read the lines inside. Only the frames of a WebSocket stay opaque to it.
//
// The messages of a new connection wait until NATS has answered a PING that was sent after the subscriptions. NATS then has
// all of them, and the hole ends for all topics at one place.
package upstream
