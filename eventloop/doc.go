// Package eventloop serves HTTP, WebSocket, Server-Sent Events and long polls from a few event loops: sockets, the opening handshake, the connection's
// life, its deadlines and its end. It is the only package that knows gnet. Package broadcast answers the messages of clients,
// package wsproto their framing.
//
// # Layout
//
// From the bottom up: a file uses the ones above it. The transport table is the exception: it names functions of later files.
//
//	config.go      Config, the status codes of Tickcast's own, ticks
//	tally.go       the figures of a loop, the reasons of refusals
//	socket.go      system calls on a connection's descriptor
//	page.go        pages as they are sent
//	pass.go        the client behind a connection, where more than its address is known
//	conn.go        the state of a connection, and the table of connections
//	wheel.go       the timer wheel of a loop
//	poke.go        the way of a loop back to itself
//	transport.go   the transport table: one row for each kind of peer
//	engine.go      the state that all loops share
//	stuck.go       loops that do not answer
//	loop.go        the state of a loop; tasks, panics
//	line.go        the send buffer of a client on a thin line, or far away
//	outbound.go    the send path, and connections whose socket is full
//	ciphers.go     ciphers of busy connections with TLS
//	secure.go      their send path, alone and in groups, and the end of their sessions
//	deflate.go     compression for one client
//	closing.go     closing handshakes, from both sides
//	response.go    HTTP responses and refusals
//	bearer.go      the places of a token in a request
//	certificate.go  users of clients' certificates
//	tokens.go      clients prove who they are; expiry
//	revoke.go      users and tokens that are revoked
//	turnaway.go    connections that are refused before their request
//	limits.go      limits of connections, addresses and input
//	held.go        connections that wait for their turn, beyond the limit of new ones
//	proxied.go     clients behind a proxy
//	crossorigin.go  web pages of other origins
//	keepalive.go   deadlines: handshake, first message, ping, idle, heartbeat, closing
//	shake.go       TLS: handshakes and their sessions, input
//	form.go        the parameters of a request for topics
//	admission.go   the upgrade to the stream
//	admitform.go   requests for topics that open no WebSocket
//	poll.go        requests that wait for messages, and those for the newest
//	events.go      Server-Sent Events; the choice of the transport
//	messages.go    messages of clients, and the answers that are collected
//	echo.go        the echo endpoint
//	redirect.go    listeners that only redirect to https
//	requests.go    requests before the upgrade
//	fairness.go    input that waits for its turn
//	inbound.go     OnTraffic: the only place where bytes become calls
//	shutdown.go    the end of all connections
//	tasks.go       the tasks of a loop: tick, fan-out, expired timers, turns
//	listen.go      listening sockets, and failed accepts
//	gnetlog.go     gnet's log
//	gnettable.go   gnet's table of connections, which is to become small
//	secureaddr.go  kinds of listeners
//	callbacks.go   the other callbacks of gnet: boot, tick, open, close
//	stats.go       Stats
//	run.go         New and Run
//
// # Rules
//
//   - A connection belongs to one loop. Other goroutines do not touch its state; they post a task.
//   - OnTraffic takes every byte that gnet has, but for those of held connections. An incomplete request or frame goes into a buffer
//     of its exact size.
//   - An idle connection holds no buffer: 80 bytes here, 40 in its shard, and the memory of gnet. With TLS it has 176 more.
//     A stream of events has no more; a poll that waits has its answer's form in extra.
//   - Nothing is encrypted before it is written: backlog stays in the shard, where it can be conflated.
//   - While gnet holds bytes of a connection, it is given answers only, and those are bounded.
//
// # Goroutines
//
// These are all goroutines of the server, of other packages too. A connection has none.
//
//	number              work                                 started by                    ended by
//	1                   main: wiring, waits for the end      runtime                       a signal, or the first failure
//	1                   signal.NotifyContext                 main                          the first signal; a second one ends the process
//	1                   Engine.Run                           cmd/tickcast serve            its context: the signal, or a failed part
//	1                   gnet.Rotate                          Engine.Run                    Engine.stop, after the drain
//	Config.Loops        event loop: conns, shard             gnet                          Engine.stop
//	1                   stop of gnet                         Engine.Run, after the drain    itself, when gnet has stopped
//	1                   accept                               gnet                          Engine.stop
//	1                   OnTick                               gnet                          Engine.stop
//	at most 1 a task    post of a continuation, if the       loop.continueWith             itself, at once
//	                    socket pair is missing
//	at most TLS.Workers tlsrecord: compute handshakes        loop.newHandshake             itself, when no handshake waits for it
//	1 a TLS handshake   tlsrecord: coroutine, from the       a worker                      the end of the handshake or of its connection
//	(MaxHandshakes)     client's first record on
//	1 a shard           alarm of its rate tiers: Shard.Wake  time.AfterFunc, when due      itself, at once
//	1                   NATS.Run                             cmd/tickcast serve            its context, after Engine.Run
//	1                   Hub.Run: interest against NATS       NATS.Run                      NATS.Run's context
//	1                   Hub.watchSilence                     Hub.Run                       Hub.Run's context; at once if no class goes stale
//	1                   Hub.watchDelays                      Hub.Run                       Hub.Run's context; at once if no class has a delay
//	1                   NATS.send: published messages        NATS.Run                      NATS.Run's context
//	1 a NATS connection upstream: conn.receive               NATS.Run                      NATS.Run's context
//	1 a stream          topics: streamReader.run             Hub.Run                       Hub.Run, when the interest or the context ends
//	a few a stream      topics: streamReader.answerLoads     streamReader.follow           streamReader.follow, before it returns
//	1 a stream          end of the NATS connection           whileConnected                its release
//	1 a stream          jetstream: consumer, while made      reader.prepare                the request's answer or the reader's context
//	at most 1 a stream  stop of the consumer's pulls         context.AfterFunc             itself, at once
//	a few a connection  nats.go: read, flush, callbacks,     nats.go                       NATS.Run or the demo, which close theirs
//	                    reconnect; consumers' pulls
//	1                   memory trim                          cmd/tickcast serve            its context, after Engine.Run
//	1, embedded JetStream  storage.watch: failed writes      cmd/tickcast serve            its context, after Engine.Run
//	1 with [auth]       auth: Verifier.Run: the keys behind a URL  cmd/tickcast serve        its context, after Engine.Run
//	1 with [auth]       nats.go: control subject, node.onControl   upstream.Connect          the NATS connection's end
//	1 with TLS          certificates.watch: changed files    cmd/tickcast serve            its context, after Engine.Run
//	1 with ACME         issuer.run: orders, renewed certificates    cmd/tickcast serve       its context, after Engine.Run
//	1 with ACME, at most  issuer.obtain: one order             issuer.run               the order's end, at most 5 minutes
//	a few with ACME     autocert: a renewal, answers removed  autocert                 themselves
//	1 with -demo        publisher of made-up ticks           cmd/tickcast serve            its context, after Engine.Run
//	some, embedded NATS nats-server                          cmd/tickcast serve            embedded.Close, last
//	1                   internal HTTP port: Serve            startInternal                 internalServer.Close, after Engine.Run
//	1 a request         internal HTTP port: a connection     net/http                      the client, its timeouts, or Close
//
// # Why
//
// Frames are written with a raw write(2) on the descriptor. The kernel's part is nearly all of the cost, and the runtime's
// bookkeeping around a blocking call is half of the rest. The socket is non-blocking, so the call returns at once. Only bytes that
// the socket refuses go through gnet, which waits until it is writable.
//
// A handshake of TLS is too long for a loop, and crypto/tls can only wait for its client. So each is a coroutine, which a few workers
// advance: a flood of handshakes takes no more CPU than those. A client that sends nothing, or half a hello, has no coroutine. The worker
// writes the answer to the hello itself, under the handshake's lock, and the loop ends the handshake before it closes the socket. The
// loop advances the coroutine for the last flight, where that takes 30 us: a goroutine and a task for it would take as much.
// Afterwards the records are read and written here, see package tlsrecord.
//
// The shard treats a client with context takeover as a client of plain frames. Its row of the transport table compresses them on
// their way out, see packFrames: the differences between connections stay here, and the shard shares everything that can be shared.
//
// An event of Server-Sent Events is shared as the chunk of HTTP/1.1 that it is sent in: whole chunks are to the shard and to the
// send path what frames of WebSocket are. A client of HTTP/1.0 has a row of the transport table that takes the ends of chunks off.
//
// A poll is a member of the shard until its answer. So it is admitted, limited and told of errors as any other client, and the
// connection then is one for requests again. Requests behind it wait in extra.
//
// Input of one client is handled for a slice at most, then the others have their turn: a few compressed bytes can ask for a second
// of work. gnet cannot stop reading from one connection, so further input is kept, and that has a bound.
//
// gnet comes to the tasks of a loop only behind all sockets that were ready before. When thousands of connections end at once, a
// fan-out would wait for all of them, so a slice of one that is due is done between two calls of gnet as well.
//
// A task that is not finished continues through a socket pair or another goroutine. gnet drains its tasks without limit before it
// looks at the sockets again, and a task that posts itself would keep it from that.
//
// A connection that is refused or failed is not closed at once. Closing a socket with unread bytes makes the kernel send a reset,
// which can overtake the answer. So the sending side is shut down and further input is thrown away. The connection ends when the
// client ends it, or after [Config.CloseTimeout] (RFC 6455 section 7.1.1, RFC 9112 section 9.6).
package eventloop
