// Package loadtest puts load on a Tickcast server, or another WebSocket server, and judges what came back.
//
// # The words
//
//   - Plan: what a run shall do: how many clients, on which topics, how many messages at what pace, for how long.
//   - Run: a plan that is carried out, see [NewRun].
//   - Part: a process that holds a share of the run's clients. One process may open RLIMIT_NOFILE sockets, a run any
//     number.
//   - Fleet: all clients of one process. Client: one simulated WebSocket connection.
//   - Role: what a client does once it is subscribed: read, read slowly, or be silent as one whose host is gone. Cohort:
//     all clients of a role. Churn, storm: clients leave and come back, at a rate or all at once.
//   - Publisher: what feeds messages into NATS. Pace: when the next message is due. Tick: a message of a run.
//   - Tape: how many messages of each topic were published, in memory that the processes of a run share.
//   - Ledger: what a worker's clients received of each topic.
//   - Probe: a client whose latencies are recorded.
//   - Report: a run in figures, and whether it was clean.
//
// # The account
//
// A tick says which message of its topic it is, when it was to be sent, and its checksum. Each client keeps 16 bytes for
// each of its topics: the highest number that came, which of the 32 before it did, and from which number on it is owed
// all. That is the number on the tape when the server's answer to its subscription came: the publisher counts a message
// before it sends it, so what it sends after the answer has a higher number. In this way clients may come and go while
// messages flow, and still each delivery is known to be received, missing, doubled, out of order, corrupted or
// misrouted. What is owed and has not come when the run ends is missing. Of a topic whose contract lets a newer message
// replace older ones, what was skipped is conflated, but none may go back, and the newest has to come.
//
// Of a server that does not answer subscriptions, a client is owed all if none had been published when it subscribed, else
// what follows the first message that comes to it. If none does, though one was due more than a second after it
// subscribed, the run is not clean.
//
// Latency counts from the intended time of sending, which is in the tick, to when the client has read it. A stall, of the
// server or of the load tester itself, therefore delays all that was due meanwhile, and all of it is in the histogram.
//
// # The fleet
//
// A fleet speaks just enough of the client's side to be a million clients: the opening handshake, one subscribe message,
// pongs for pings, the closing handshake. It reads all that comes, counts it, and keeps nothing else. Each [Fleet] worker
// is one goroutine with an epoll instance, a slab of clients and one read buffer; a client belongs to its worker for life.
// What others want of a worker, it does itself between two turns of its loop.
//
// A part is told its plan and its orders on stdin and answers on stdout. Which server, source address, topics, role and
// time of start a client has follows from its number in the run, so that no process needs to know of another.
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
// than not, so what it burns is taken from what it measures. A client here is one struct of 24 bytes and 16 more for each
// topic, and a message costs little more than the read(2) that fetches it: see BenchmarkReceive.
//
// Why processes and not only threads: the limit of open files is per process, and often only root can raise it.
//
// Why level-triggered: an edge-triggered reader must read until EAGAIN, which is a second system call for each
// message. Here a read that did not fill the buffer is the last one until epoll reports more.
//
// Why no buffer per client: a frame that lies wholly inside the worker's read buffer is parsed where it lies. Only the
// rare frame in pieces is copied, into a slice that lives until the frame is whole.
//
// Why a message is compared with the one before it: the next message is mostly the same for another client. Then its
// checksum and its numbers are known.
//
// Why raw system calls in two places, the fleet's read and the bare server's write: x/sys/unix tells Go's scheduler
// before and after each call, in case it blocks. These do not block, and on a busy machine that was about a fifth of what
// a message cost. With it the bare server would be slower than the server it is there to judge.
//
// Why crypto/tls for wss, at some 8 KB a connection: the alternative is a TLS of our own.
package loadtest
