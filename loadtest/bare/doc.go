// Package bare is the yardstick of the benchmarks: a WebSocket server that accepts, upgrades, and writes one prebuilt frame
// to each socket in a plain loop of write(2), the least that a server can do. The benchmarks run it beside the real server,
// in the same run and against the same kind of fleet, and report the ratio, because ratios are comparable between machines
// and times are not.
//
// # Layout
//
//	server.go   a server from its start to its end, and broadcasts
//	serve.go    the loop of epoll
//
// # Why
//
// Why a raw system call writes: x/sys/unix notifies Go's scheduler before and after each call, in case it blocks. These
// calls do not block. With the notices the yardstick would be slower than the server under test.
package bare
