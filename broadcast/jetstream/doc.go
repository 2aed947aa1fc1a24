// Package jetstream reads a JetStream stream: new messages through a consumer, each once and in order, and earlier messages
// on demand. It reports messages that were removed before they could be read.
//
// # Layout
//
//	stream.go     a stream, a message, the errors
//	complete.go   the proof that a stream has lost no messages
//	find.go       the search for the stream that holds a subject
//	direct.go     messages by direct get, or one by one from the leader
//	consumer.go   consumers that leave no state behind
//	newest.go     the newest message of each subject
//	since.go      the messages after a sequence
//	reader.go     the state of one reader, and its reports
//	follow.go     a reader that survives the loss of servers and consumers
//
// # Why
//
// Follow reads through a consumer of its own. nats.go's ordered consumer does the same, but it does not report unknown gaps,
// may wait for 10 s before it tries again, and does not check that the stream is still the same and complete.
//
// The module jetstreamext has direct get too. It drops three values that this package needs: the state at the end of an
// answer, the reason of a refusal, and whether the end was reached before the timeout.
package jetstream
