// Package bench measures whole servers: Tickcast beside the yardstick of package bare, which does the same work in the same
// run. It contains only benchmarks; see the Makefile's bench.
//
// Each server and each fleet is a process of its own, so that their costs are separate. The main figure is a ratio to the
// yardstick: ratios are comparable between machines, times are not.
//
// # Layout
//
//	child_test.go      fleets and bare servers as processes
//	server_test.go     Tickcast as a process
//	bench_test.go      a server with a fleet, and the common parts of all measurements
//	fanout_test.go     CPU time of a delivery
//	coalesce_test.go   CPU time of a delivery when messages queue up
//	scaling_test.go    CPU time of a delivery with few and many subscribers and topics
//	memory_test.go     memory of an idle connection
//	visitors_test.go   clients with TLS that come and go, and crypto/tls alone as a server
//	tls_test.go        CPU time, memory and handshakes of TLS
//	access_test.go     memory of tokens, CPU time of limits
//	slow_test.go       latency beside clients that do not read
//	echo_test.go       latency beside a fan-out without pause
package bench
