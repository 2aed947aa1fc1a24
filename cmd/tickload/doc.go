// Command tickload opens many WebSocket connections to a Tickcast server or another one, subscribes each of them, publishes
// through NATS, and accounts for every message of every client.
//
// The summary is on stdout, progress on stderr. The exit status is 0 for a clean run, 1 for one that was not, and 2 for an
// invalid command line.
//
// # Layout
//
//	errors.go    errors about the command line
//	usage.go     the text of -h
//	flags.go     from the command line to a plan
//	servers.go   -server: Tickcast processes on this machine
//	run.go       a run and its reports
//	main.go      the process
package main
