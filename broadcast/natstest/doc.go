// Package natstest runs NATS servers inside a test process: one server, or a cluster of three with JetStream. The tests of
// all packages that use NATS share it.
//
// # Layout
//
//	server.go   one server, its clients and streams
//	cluster.go  three servers that can be killed
package natstest
