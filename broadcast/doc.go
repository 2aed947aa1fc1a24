// Package broadcast turns a stream of NATS messages into frames on subscribers: topics, interest, fan-out, snapshots and
// the client protocol. It knows no socket: what it sends goes to an [Outlet], which package eventloop implements.
//
// # Layout
//
//	hub.go         Hub: all topics of the process, what upstream delivers, which shards want it
//	class.go       what topics under a pattern have in common; topic.go: a topic, its history, its silence
//	interest.go    what the shards want, held against what NATS is asked for
//	delay.go       messages that are sent later
//	shard.go       Shard: the subscribers of one event loop
//	fanout.go      the walk of one message over its subscribers, in slices; tier.go: at a slower pace
//	batch.go       what has been gathered for each subscriber, and its write
//	frame.go       a message and its frames; codec.go: how clients want them; compress.go: those that are compressed
//	subscriber.go  a connection as its shard sees it; backlog.go: one that reads too slowly; dirty.go: the topics it is owed
//	command.go     what clients say; apply.go: what that does; control.go: what they are answered
//	nats.go        the upstream
//	stream.go      a reader of JetStream streams; streamfeed.go: one behind a class; park.go: commands that wait for it
//
// Only nats.go and stream.go know the library nats.go.
//
// # Rules
//
//   - A Shard belongs to one event loop: every method but Wake is called there. Hub is safe for any goroutine.
//   - A message is framed once, and compressed once for each size of window that somebody has. All subscribers of all
//     shards share the same immutable bytes.
//   - Every queue has a bound. What overflows is conflated to the newest message of its topic, or, where every message
//     matters, told as a gap or ends the client with a cursor to come back with. It is counted, and never silent.
//
// # Why
//
// Topics and their sequence live in the Hub, under one mutex that is taken once per message and never per delivery.
// Shards hold what they need to deliver without asking: the newest message per topic and dense lists of subscribers.
//
// A subscriber and a topic know each other by position, both ways, so that leaving costs the subscriber's own topics and
// never a search through a topic of a million subscribers.
//
// A drain first gathers: it walks every message over its subscribers, which costs some nanoseconds each, and only then
// writes to each of them what has come together, which costs microseconds. Subscribers that are owed the same messages share
// the bytes that are written: what has been gathered for one is a path in a tree of messages, and the walk of a message takes
// all who stand at the same place to the same next place. Messages that come while the writes go on are gathered between
// slices, so those who have not had their turn get them with the same write, and nobody waits for a batch to be full.
//
// A sequence counts all messages of the hub, not those of a topic, so that one cursor tells where a client stands in
// many topics, as it does with a stream.
//
// A message is not compressed when it comes, but when the first subscriber with a window is to be written to: what nobody
// wants compressed costs nothing. A payload that fits into all windows in question makes one frame for all of them.
//
// Clients may hold overlapping patterns, and so may NATS subscriptions. A subject has one owner among the interests that
// match it, the one that NATS was asked for first; copies that arrive through the others are dropped. A subscriber that is reached by several of its
// filters is written to once per message.
//
// There is no goroutine per topic: nats.go would start one for each asynchronous subscription. All subscriptions of a
// connection share one channel and one goroutine, which also keeps the order of every subject. Subjects are dealt out to
// connections by a hash.
//
// What a stream holds of a topic is asked for when somebody wants it, and the command that wants it waits: its client is no
// subscriber until then, so the answer comes before the first message, and nothing has to be sorted afterwards. The
// consumer begins before the first question, and no answer is used before the consumer has come as far: what one of the
// two does not bring is brought by the other.
package broadcast
