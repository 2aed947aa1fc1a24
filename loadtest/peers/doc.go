// Peers measures Tickcast beside other servers that can do the same: send one message to all connections. It is a module
// of its own, so that they are in no go.mod but this one.
//
//	go run . compare                      all servers, each against a fleet of its own
//	go run . serve -server gorilla ...    one of them, to be looked at by itself
//
// # What is compared
//
// Libraries as gorilla/websocket are not servers, so each has a server around it here, of which there cannot be less:
// it holds the open connections and hands each message to all of them. It is used in the way that its authors recommend
// for that, and with those of its settings that make it cheaper; each file begins with what was chosen. None has what
// Tickcast and centrifuge do besides, such as topics, so what these two cost beyond a library's is not all overhead.
// The bare server is loadtest's yardstick: the system calls without which it cannot be done.
//
// # The rules
//
//   - Each server is a process started anew in each round, and has -cores threads of Go, or processes, to use: one.
//   - A few clients come, get messages and go before anything is measured, so that code has been loaded and compiled.
//   - Memory is what the process holds with all connections open and idle, less what it held before. A server is asked
//     to return what it does not need both times: the Go servers and Node.js by collecting their garbage, as Tickcast
//     does by itself once connections have held still (runtime.trim_after, here one second). The kernel's share is the
//     same for all and not in it.
//   - CPU time is that of the server's processes, from before the first message of some until all clients have the last
//     one, each sent when all have the one before. Kernel time is in it: loopback TCP is most of what the bare server takes.
//   - The ratio is to a bare server with a fleet of its own that sends in turn with the server, as ratios travel between
//     machines and survive what else a machine does. The bare server's own shows how far it can be relied on.
//   - Upgrades per CPU second count from the first connect to when all have subscribed. Upgrades per second are the
//     fleet's limit, some 20,000, as often as the server's.
//   - All are published the same message, and wrap it or not. Nobody compresses, nobody sends pings or heartbeats.
//   - A round has all servers, each time in another order. Figures are medians of rounds, with the lowest and highest.
//
// # Why
//
// Why not mailru/easygo's netpoll, which gobwas/ws was written to go with: it duplicates each descriptor, and the limit
// of them is what bounds the number of connections. gobwas.go has some lines of epoll instead.
package main
