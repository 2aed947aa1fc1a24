// Package topics holds the topics of the process: their sequence, snapshot and history, the interest in them, and the way of a
// message from upstream into the mailboxes of the shards. It knows no shard, no socket and no NATS library.
//
// # Layout
//
//	class.go      Class: the common properties of the topics under a pattern
//	message.go    Message: an entry in the stream of a topic, and its frames
//	topic.go      Topic: a subject that has subscribers
//	interest.go   an interest of the shards, and the feeds that it needs
//	held.go       messages that the queues of clients hold; maps that shrink
//	history.go    the messages that are kept for clients that come back
//	newest.go     the newest messages, and their bound
//	silence.go    the topics that may fall silent
//	delay.go      the messages that are sent later
//	load.go       a question to a stream, and the commands that wait for its answer
//	overflow.go   the entries beyond the bounds of a mailbox
//	mailbox.go    Mailbox: the queue to one shard, and its wake-up
//	upstream.go   Upstream and Stream: the interfaces to NATS
//	clock.go      Clock: the time of a hub, which a simulator hands in
//	owner.go      the subscription of a topic whose copies count
//	registry.go   the tables of all these, guarded by the hub; the way of a message to the mailboxes
//	holes.go      losses become entries of their topics
//	seam.go       the place where a subscription ends and another one goes on
//	wanting.go    interests made, wanted, unwanted and ended
//	hub.go        Hub: the lock, and the calls of shards and upstream
//	walk.go       the topics under a pattern, some at a time
//	cursors.go    positions, and the messages behind them
//	losses.go     the calls of upstream that report losses and refusals
//	handover.go   the calls of upstream at the end of a subscription
//	publish.go    the calls of upstream that deliver messages, and those that are due by the clock
//	send.go       the messages of clients, on their way to upstream
//	await.go      the calls of commands that wait for a stream
//	loader.go, stream.go   a stream behind a class: its questions, its messages
//	reconcile.go  the wishes of the shards, held against the subscriptions of upstream
//	run.go, step.go, stats.go, check.go
//
// # Rules
//
//   - Hub is safe for any goroutine. Its registry is guarded by one mutex, which is taken once per message and never per delivery.
//   - Between a hub and a shard stand a Mailbox, plain values, and immutable fields of Topic and Message. A shard cannot reach
//     the guarded fields.
//   - A message is framed once. All shards share the same immutable bytes.
//   - Every queue has a bound. Messages beyond it are conflated to the newest of their topic, or, where every message
//     matters, told as a gap. They are counted, and never silent.
//   - A loss is an entry in the stream: it takes a sequence and travels the delay, the history and the mailboxes as messages do.
//     So a gap stands where the loss was, and cursors and histories end there by themselves.
//
// # Why
//
// A sequence counts all messages of the hub, not those of a topic, so that one cursor tells where a client stands in many
// topics, as it does with a stream.
//
// Clients may hold overlapping patterns, and so may NATS subscriptions. A subject has one owner among the feeds that match it,
// the one that NATS was asked for first; copies that arrive through the others are dropped.
//
// The past of a topic of a stream is asked for when somebody wants it, and the command that wants it waits, for a bounded time:
// its client is no subscriber until then. Messages that come meanwhile are delivered at once, or the order over the topics of
// a stream would not hold. A position belongs to one life of a stream, its generation: the stream may be made anew while
// messages of the one before are still on their way to a shard. The consumer begins before the first question, and no answer is
// used before the consumer has come as far: either of the two brings the messages that the other leaves out.
package topics
