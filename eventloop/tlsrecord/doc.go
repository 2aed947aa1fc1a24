// Package tlsrecord encrypts and decrypts TLS records between byte slices, after a handshake of crypto/tls between byte slices. It
// knows no socket: the server's event loop and the load tester both use it.
//
// # Layout
//
// From the bottom up: a file uses the ones above it.
//
//	alert.go      alerts, and the errors that ask for them
//	wire.go       the constants of records
//	suite.go      cipher suites and their keys
//	half.go       one direction: secret, key, IV, sequence number
//	records.go    Records: the state of both directions
//	message.go    messages after the handshake: KeyUpdate
//	open.go       Records.Open: from records to plaintext
//	seal.go       Records.Seal: from plaintext to records; the end
//	prefetch.go   cache lines, by assembly
//	warm.go       Warm: what the next Seal of several connections reads
//	session.go    Session, the interface of both record layers
//	secrets.go    secrets from the key log
//	pool.go       the bounds of handshakes
//	handshake.go  Handshake: the state of one, its result
//	pipe.go       the net.Conn that crypto/tls sees
//	driven.go     Driven: crypto/tls as the record layer
//	run.go        the coroutine of a handshake
//	feed.go       the input of a handshake, and its start
//	selftest.go   SelfTest
//
// # Use
//
// A [Handshake] is fed with the peer's bytes and gives back bytes for the peer. It is a coroutine that exists from the first whole
// record to the end of the handshake; a [Pool] bounds their number, and has the few workers that advance them. The result is a
// [Session]: Open and Seal for the rest of the connection, without a goroutine.
//
// A session of TLS 1.3 with AES-GCM is a [Records], 160 bytes, with AES-256 64 more. Every other session is a [Driven], which keeps the tls.Conn:
// about 7 KB. [SelfTest] checks that this version of crypto/tls works with Records.
//
// # Why
//
// crypto/tls keeps buffers for each connection, and an idle connection needs none. Its handshake is the hard part of TLS, and
// stays with it. The record layer of TLS 1.3 (RFC 8446 section 5) is small.
//
// A goroutine for each handshake, in place of a coroutine, would have to be woken for each flight, and its owner for each answer. That
// took a fifth of the time of a handshake.
//
// The secrets come from [tls.Config.KeyLogWriter], the only public way. Each connection has a copy of the configuration, so
// that its secrets cannot be mixed up with those of another. They stay in memory, as all other keys do. The copy comes from
// GetConfigForClient: the ticket keys are then those of the shared configuration, and sessions resume.
//
// The sequence number of our direction is the number of records that crypto/tls has sent with these keys. These records are
// session tickets, whose number crypto/tls decides. Records finds them by decryption, which proves the secrets at the same
// time. For the peer's direction it is 0: the pipe never hands crypto/tls more than the current record, so crypto/tls reads
// no record behind the handshake. A wrong number would end the connection at the first record. It cannot reveal a secret.
//
// An answer to a KeyUpdate leaves with the next data, not at once (RFC 8446 section 4.6.3 allows it). So a client cannot
// force writes by requests, and thousands of requests have one answer.
//
// The state of an AEAD is 768 bytes, five times that of the connection, and 512 more to build it. So it is built for each use. The
// owner keeps those of busy connections, see [Records.Keep]. The first one is that with which the handshake has counted: the answer to a
// request that came with the last flight uses it.
package tlsrecord
