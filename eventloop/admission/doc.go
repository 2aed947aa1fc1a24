// Package admission decides who may come in: origins, addresses, users, rates and bans. It does no I/O and reads no clock: its
// callers hand in bytes, addresses and the time.
//
// # Layout
//
//	origin.go     the list of web pages that may use the server
//	bucket.go     the token bucket of a connection
//	rate.go       the events of any second: new connections, of all addresses and of one
//	address.go    the key of an address; the list of trusted proxies
//	forwarded.go  the client's address in X-Forwarded-For
//	proxy.go      the header of the PROXY protocol, versions 1 and 2
//	table.go      the clients' addresses: connections, rates, offences, bans
//	users.go      the connections of each user
//
// # Rules
//
//   - Bucket belongs to its connection's loop. Addresses, Users and Rate have a mutex, since all loops share them. Loops use
//     them when a connection begins, ends or offends, and never on the way of a message.
//   - Every table has a bound. An address without room in the table is admitted and not counted; the number of such connections
//     is a figure of the table.
//   - A parser is handed a slice and reports how much it used; n == 0 without an error means "call again with more".
//
// # Why
//
// An address that is not tracked is admitted: a flood from many networks would otherwise shut out all other clients. The
// limits of the whole process still apply to it.
//
// A token bucket of the events of a second would allow twice as many in its first second: a burst, and the pace behind it. A Rate
// counts the last second instead, so its limit holds for any second, and a short burst passes whole where the limit is small. In
// the long run it allows ten elevenths of the limit, since a second touches eleven of its slots.
//
// IPv6 addresses count by /64, the smallest network that a provider gives to a customer: one customer has 2^64 addresses.
package admission
