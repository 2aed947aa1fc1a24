// Package fleet simulates the WebSocket clients of one process, up to a million, and accounts for every message that they
// receive.
//
// A fleet implements only the needed part of a client: the opening handshake, one subscribe message, pongs for pings, the
// closing handshake. It reads all input, counts it, and keeps only the counts. Each worker of a [Fleet] is one goroutine
// with an epoll instance, a slab of clients and one read buffer; a client belongs to its worker for life. A worker carries
// out orders of other goroutines between two turns of its loop.
//
// # The account
//
// A tick holds its number within its topic, its intended time of sending, and its checksum. For each of its topics a client
// keeps 16 bytes: the highest number that came, a bit for each of the 32 messages before it, and the number from which on
// the server owes it all messages. That is the number on the tape when the server's answer to the subscription came. The
// publisher counts a message before it sends it, so messages after the answer have higher numbers. So clients may come and
// go while messages flow, and each delivery is still known as received, missing, doubled, out of order, corrupted or
// misrouted. A message that is owed and has not come when the run ends is missing. On a topic whose contract lets a newer
// message replace older ones, skipped messages are conflated, but no older message may follow, and the newest has to come.
//
// A server may leave subscriptions unanswered. If no message had been published when the client subscribed, the server owes
// the client all messages. Otherwise it owes those that follow the first message that comes. The run is not clean if a
// message was due more than a second after the client subscribed, and the client received no message.
//
// Latency counts from the intended time of sending, which is in the tick, until the client has read it. A stall, of the
// server or of the load tester itself, therefore delays all messages that were due meanwhile, and the histogram holds all
// of these delays.
//
// # Layout
//
//	child.go        processes that take orders: the parts of a run, the children of benchmarks
//	histogram.go    latencies, and how processes hand them over
//	tape.go         the numbers of published messages, in shared memory
//	config.go       the clients of a fleet and when they are started
//	assignment.go   topics, cohorts and probes of each client
//	tick.go         a message of a run, and the source of all of them
//	protocol.go     the messages of clients and servers
//	target.go       servers and their URLs, and the local addresses to connect from
//	totals.go       the counts of a fleet, and errors of clients
//	session.go      TLS: handshakes and sessions
//	client.go       one connection
//	ledger.go       a worker's counts of messages, by topic and message
//	common.go       the part of a fleet that its workers share, with numbers to wait for
//	worker.go       a worker's state
//	account.go      from a message to the ledger
//	send.go         output, and the end of a client
//	input.go        from bytes to messages
//	dial.go         from connect(2) to the opening handshake
//	read.go         events of epoll, and decryption
//	cohort.go       slow readers, churn, storms
//	loop.go         a worker's loop
//	sample.go       all figures of a fleet at one moment
//	fleet.go        a fleet from its start to its end
//
// # Why
//
// Why epoll by hand: a goroutine and a bufio.Reader per client cost 4-10 KiB, and a read through the runtime's netpoller
// costs a wake-up per message. The load tester mostly shares the machine with the server under test, so its own costs
// distort the measurement. A client here is one struct of 24 bytes and 16 more for each topic, and a message costs little
// more than the read(2) that fetches it: see BenchmarkReceive.
//
// Why level-triggered: an edge-triggered reader must read until EAGAIN, which is a second system call for each message.
// Here a read that did not fill the buffer is the last one until epoll reports more.
//
// Why no buffer per client: a frame that lies wholly inside the worker's read buffer is parsed where it lies. Only the rare
// frame in pieces is copied, into a slice that lives until the frame is whole.
//
// Why a message is compared with the one before it: the next message is mostly the same, for another client. Then its
// checksum and its numbers are known.
//
// Why a raw system call reads: x/sys/unix notifies Go's scheduler before and after each call, in case it blocks. This one
// does not block, and on a busy machine the notice was about a fifth of the cost of a message.
//
// Why the TLS records of the server's package tlsrecord for wss: a session takes about 300 bytes, and 7 KB with those of
// crypto/tls. In each worker one handshake computes at a time, on a goroutine.
package fleet
