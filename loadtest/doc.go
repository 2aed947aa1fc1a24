// Package loadtest puts load on a Tickcast server and judges what came back.
//
// # The words
//
//   - Plan: what a run shall do: how many clients, on which topics, how many messages at what pace, for how long.
//   - Client: one simulated WebSocket connection. A [Fleet] is all clients of one process.
//   - Publisher: what feeds messages into NATS.
//   - Pacer: when the next message is due. Latency counts from that intended time, not from when the publisher
//     came round to it, so that a stall of the load tester cannot hide a stall of the server.
//   - Ledger: what one client, or all of them together, received.
//   - Latencies: how often a message took how long, in a histogram whose buckets are 1.6 % wide.
//   - Deaf: a client that subscribes and then never reads.
//   - Report: a run in figures, and whether it was clean: nothing missing, doubled or out of order.
//
// # The fleet
//
// A fleet speaks just enough of the client's side to be a million clients of one server: the opening handshake with
// the subprotocol tickcast.v1.json, one subscribe command, pongs for pings, the closing handshake. It reads all that
// comes, counts it, and keeps nothing else. Each [Fleet] worker is one goroutine with an epoll instance, a slab of
// clients and one read buffer; a client belongs to its worker for life.
//
// # The yardstick
//
// A [Bare] server accepts, upgrades, and writes one prebuilt frame to each socket in a plain loop of write(2): the
// least a server can do. The benchmarks run it beside the real server, in the same run and against the same kind of
// fleet, and report the ratio, because ratios travel between machines and times do not.
//
// # Why
//
// Why epoll by hand: a goroutine and a bufio.Reader per client cost 4-10 KiB, and a read through the runtime's
// netpoller costs a wake-up per message. The load tester shares the machine with the server under test more often
// than not, so what it burns is taken from what it measures. A client here is one struct of 48 bytes, and a message costs
// little more than the read(2) that fetches it: see BenchmarkReceive.
//
// Why level-triggered: an edge-triggered reader must read until EAGAIN, which is a second system call for each
// message. Here a read that did not fill the buffer is the last one until epoll reports more.
//
// Why no buffer per client: a frame that lies wholly inside the worker's read buffer is parsed where it lies. Only the
// rare frame in pieces is copied, into a slice that lives until the frame is whole.
//
// Why raw system calls in two places, the fleet's read and the bare server's write: x/sys/unix tells Go's scheduler
// before and after each call, in case it blocks. These do not block, and on a busy machine that was about a fifth of what
// a message cost. With it the bare server would be slower than the server it is there to judge.
package loadtest
