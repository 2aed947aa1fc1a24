// Package wire defines the client protocol of docs/protocol.md: the commands of clients, the replies, and the messages of
// topics in the envelopes json, bin and raw. It turns bytes into values and values into frames. It knows no hub, no shard
// and no socket.
//
// # Layout
//
//	codec.go    the subprotocols
//	errors.go   the error codes, and the errors that clients read
//	cursor.go   a position in a topic
//	members.go  the members of a JSON object
//	command.go  the requests of clients
//	payload.go  upstream's bytes as JSON
//	frame.go    one payload in one frame
//	update.go   the envelopes of data messages
//	reply.go    the control messages: replies, and the state of topics
//	pages.go    an ack in pages
//	events.go   events, chunks, and elements of an array: the forms of other transports
//
// # Rules
//
//   - Every function may be called by any goroutine.
//   - A frame is one whole WebSocket message of the server, header included, or the same message as one chunk of a stream of
//     events. After it is built, it is shared and never changed.
//
// # Why
//
// Replies belong to one client and state changes are rare, so encoding/json builds them. It does not read commands, since it
// accepts OP for op, and the last of two equal members. A data message goes to many clients at a high rate: its frame is
// built by hand, in one allocation, and parsed JSON is never written again.
package wire
