// Package compare compares wsproto with other WebSocket libraries: their cost for the same work, and the streams on which
// they disagree. It is a module of its own, so that only its go.mod requires them. It contains only tests.
//
// # Layout
//
//	tape_test.go           a connection that plays recorded input
//	peers_test.go          the requests, and the other libraries' connections
//	bench_test.go          the cost of reading, writing and upgrading
//	differential_test.go   the streams on which wsproto and gobwas/ws disagree
package compare
