// Package eventloop serves HTTP and WebSocket connections from a few event loops: sockets, the opening handshake, the
// connection's life, its deadlines and its end. It is the only package that knows gnet. What clients say and hear is
// package broadcast's, how it is framed is package wsproto's.
//
// # Layout
//
//	engine.go     Engine: the loops together; gnet's callbacks
//	inbound.go    OnTraffic: the only place where bytes become calls
//	http.go       requests before the upgrade: pages, errors; admission.go: the upgrade, and who is let in
//	deflate.go    compressed messages; echo.go: the echo endpoint
//	outbound.go   writes, and connections whose socket is full
//	conn.go       the state of a connection; loop.go: the state of a loop
//	timers.go     one timer wheel a loop: handshake, heartbeat, ping, idle and closing deadlines
//	shutdown.go   the end of all connections
//
// # Rules
//
//   - A connection belongs to one loop. Nothing of it is touched elsewhere; other goroutines post a task.
//   - OnTraffic takes every byte that gnet has. What is incomplete goes into a buffer of its exact size.
//   - An idle connection holds no buffer: 80 bytes here, 40 in its shard, and what gnet keeps.
//   - Nothing is given to gnet while it has bytes of that connection waiting, except answers, and those are bounded.
//
// # Why
//
// Frames are written with a raw write(2) on the descriptor, since the kernel's part is nearly all of the cost and the
// runtime's bookkeeping around a blocking call is half of the rest. The socket is non-blocking, so the call returns at
// once. Only what the socket refuses goes through gnet, which waits for it to become writable.
//
// A client with context takeover reads plain frames in the eyes of its shard. They are compressed on their way out, in
// appendOwn: what differs from one connection to the next stays here, and the shard shares what can be shared.
//
// What a client sends is handled for a slice at most, then others are heard: a few compressed bytes can ask for a second of
// work. gnet cannot stop reading from one connection, so what comes meanwhile is kept, and that has a bound.
//
// A slice of work that is not finished posts its continuation from another goroutine: gnet drains its tasks without
// limit before it looks at the sockets again, and a task that posts itself would keep it from that.
//
// A connection that is refused or failed is not closed at once. Closing a socket with unread bytes makes the kernel send
// a reset, which can overtake the answer. So the sending side is shut down, what still comes is thrown away, and the
// connection ends when the client ends it or after [Config.CloseTimeout] (RFC 6455 section 7.1.1, RFC 9112 section 9.6).
package eventloop
