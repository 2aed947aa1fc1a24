// Tickcast fans NATS subjects out to WebSockets: a million of them, from one process.
//
//	tickcast -demo                     # made-up ticks, without other programs
//	tickcast -config config.toml       # the real thing
//	tickcast -check -config config.toml
//
// # Layout
//
//	version.go        the build of this program
//	metrics_rows.go   names and texts of the metrics
//	metrics.go        the counters of eventloop and broadcast as Prometheus metrics
//	storage.go        the files of its JetStream
//	embedded.go       the NATS server inside this process
//	internal.go       /healthz, /readyz, /metrics, /debug/pprof
//	memory.go         the account of memory, and its ceiling
//	access.go         keys of tokens, revocations
//	token.go          tickcast token
//	acme.go           certificates from an authority
//	certificates.go   the configuration of TLS, from files that may change
//	node.go           the hub and the engine, configured
//	trim.go           returns freed memory to the system
//	collector.go      the garbage collector, and its head room in a storm of handshakes
//	serve.go          starts the parts in their order and ends them
//	main.go           flags, run, exit status
//
// config/ has all settings of an operator, web/ the pages. ../message writes errors and hints.
//
// # Rules
//
//   - The server reads ./config.toml only if -config names it: its behaviour must not depend on the directory in which it was
//     started.
//   - Standard output has the result of the command line, standard error the log and the errors.
//
// # Exit status
//
// 0 after a requested end, 1 when the configuration is wrong or the server cannot start or run, 2 when the command line
// is wrong.
//
// # Why
//
// The embedded NATS server is for one machine: a demo, a test, a publisher next door. It has no cluster and no TLS, and
// JetStream only in a directory of its own. A larger installation has separate NATS servers, named in nats.urls.
package main
