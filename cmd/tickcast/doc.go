// Tickcast fans NATS subjects out to WebSockets: a million of them, from one process.
//
//	tickcast -demo                     # made-up ticks, nothing else to install
//	tickcast -config config.toml       # the real thing
//	tickcast -check -config config.toml
//
// # Layout
//
//	main.go          flags, run, exit status; message.go: what the terminal is told; version.go
//	config.go        Config and Default; config.toml in the top directory describes every key
//	config_load.go   defaults, file, environment, flags, in this order
//	config_keys.go   the keys as the structs define them; config_toml.go, config_env.go: where they are read
//	config_print.go  -print-config
//	values.go        durations and sizes
//	validate.go      ranges and rules; validate_addr.go, validate_file.go, validate_topic.go
//	serve.go         wires NATS, broadcast and eventloop, until the context ends; trim.go, web.go: parts of it
//	embedded.go      the NATS server inside this process
//	internal.go      /healthz, /readyz, /metrics, /debug/pprof
//	metrics.go       the counters of eventloop and broadcast as Prometheus metrics; metrics_rows.go names them
//
// # Rules
//
//   - A key is a struct field and nothing else. Its name in the file, its environment variable, its line in -print-config
//     and the test that holds config.toml to [Default] all come from that field.
//   - Later wins: defaults, file, environment, flags.
//   - What is not understood is an error: unknown keys, unknown TICKCAST_ variables, values out of range. All of them are
//     told at once, each with its place and, where there is one, the name that was probably meant.
//   - ./config.toml is not read unless -config names it: what a server does must not depend on the directory it was
//     started in.
//
// # Exit status
//
// 0 after a requested end, 1 when the configuration is wrong or the server cannot start or run, 2 when the command line
// is wrong.
//
// # Why
//
// The TOML decoder reports the first bad value and stops, takes LISTEN for listen, and stores 15 into a duration as
// nanoseconds. So it only parses here: the document becomes a map, and one function per source assigns values to keys. A
// second, strict pass over a skeleton without keys makes the decoder tell the line of every key. It does not tell which
// [[topic]] a key is in; that is the last one above it.
//
// Kubernetes sets variables such as TICKCAST_PORT_8080_TCP in pods beside a service named tickcast. They are told apart
// by their form and ignored; otherwise a service name could keep a server from starting.
//
// The embedded NATS server is for one machine: a demo, a test, a publisher next door. It has no cluster and no TLS, and
// JetStream only in a directory of its own. Anything larger is a NATS server of its own, named in nats.urls.
package main
