// Package sim is a deterministic simulator of the delivery: several nodes with their shards, core NATS, JetStream, sockets and
// clients, on one goroutine, under a virtual clock, from one seed. The nodes are the product's own code (packages broadcast
// and topics); the rest are models with faults. An oracle knows what was published and checks the promises of
// docs/delivery.md at every delivery.
//
// # Layout
//
//	clock.go     the virtual time, and its alarms
//	script.go    the operations of a run, as text and from a seed
//	universe.go  the topics, classes and names of every run
//	told.go      the frames of the server, as clients read them
//	world.go     World: all parts of a run; violations, faults and the hash of the trace
//	client.go    a client, its socket and its commands
//	oracle.go    the place of a client in a topic, and the promises that it checks
//	core.go      a connection to core NATS
//	stream.go    a JetStream stream, and a node's reader of it
//	node.go      a node: its hub, its loops and its upstream
//	quiet.go     the run to a standstill, and the promises that hold there
//	steps.go     the operations carried out
//	run.go       a seed from its beginning to its end; shrinking
//
// # Why
//
// A script is a list of operations, and each of them names the part that makes a step: a connection hands on messages, a loop
// drains for a few steps, a client reads. There is no other order of events, so a script replays in every detail, and a
// failing one can be shortened by leaving operations out.
package sim
