// Peers measures Tickcast beside other servers that send one message to all connections. It is a module of its own, which
// keeps them out of Tickcast's go.mod.
//
//	go run . compare                      all servers, each against a fleet of its own
//	go run . serve -server gorilla ...    one of them alone
//
// # The servers
//
// Libraries such as gorilla/websocket are not servers, so each has the smallest possible server around it here: it holds the
// open connections and hands each message to all of them. It uses the library in the way that its authors recommend for
// that, with the settings that make it cheaper; the first comment of each file has the choices. Tickcast and centrifuge do
// more, such as topics, so their costs beyond a library's are not all overhead. The bare server is loadtest's yardstick: the
// system calls that every server needs.
//
// # The rules
//
//   - Each server is a process started anew in each round, and has -cores threads of Go, or processes, to use: one.
//   - A few clients come, get messages and go before the measurement, so that code is loaded and compiled.
//   - Memory is the growth of the process from before the connections until all are open and idle. Both times the server
//     first returns unused memory: the Go servers and Node.js collect their garbage on request, Tickcast does so by itself
//     when connections have been stable for a time (runtime.trim_after, here one second). The kernel's share is the same for
//     all and not part of it.
//   - CPU time is that of the server's processes, from before the first of several messages until all clients have the last
//     one. Each message is sent when all clients have the one before. It includes kernel time: loopback TCP is most of the
//     bare server's.
//   - The ratio is to a bare server with a fleet of its own that sends in turn with the server: ratios are comparable
//     between machines and robust against other load. The bare server's own ratio shows how reliable it is.
//   - Upgrades per CPU second count from the first connect until all have subscribed. Upgrades per second often show the
//     fleet's limit, some 20,000, and not the server's.
//   - All servers get the same message. Some wrap it. Compression, pings and heartbeats are off.
//   - A round has all servers, each time in another order. Figures are medians of rounds, with the lowest and highest.
//
// # Why
//
// Why not mailru/easygo's netpoll, for which gobwas/ws was written: it duplicates each descriptor, and their limit bounds the
// number of connections. gobwas.go has some lines of epoll instead.
package main
