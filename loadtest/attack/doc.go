// Command attack runs the attacks of docs/operation.md and docs/tls.md against a server of its own, and prints the effects: the 99th
// percentile of the bystanders' latency before, during and after each attack, and the memory of the server before, at its
// peak and after.
//
//	go build -o bin/tickcast ./cmd/tickcast && go run ./loadtest/attack -server bin/tickcast
//
// The attacks stand in groups, each with the keys of its servers (settings.go). The exit status is 1 if a row is outside of its
// bounds: a latency over twice the quiet one and over -latency, memory over -memory beyond the start, memory that is not back within
// a tenth of the start after -settle, a lost bystander, or a metric of the attack that has not grown.
// With -ceiling the bounds are resident memory of 1.2 times the ceiling, an account within 15 % of the live heap, and the bystanders.
//
// # Layout
//
//	client.go    a WebSocket client without rules
//	feed.go      the feed, and the bystanders that read it
//	props.go     keys of tokens, a certificate, an authority of keys that misbehaves
//	settings.go  the keys of the servers
//	server.go    the server under attack: its memory, its metrics, its end
//	attacks.go   the groups of attacks
//	topics.go    attacks with topics and patterns
//	queues.go    clients that do not read
//	input.go     requests and frames that break rules, or never end
//	deflate.go   compressed messages
//	addresses.go addresses and numbers of connections
//	tokens.go    tokens
//	sealer.go    a client that seals its own TLS records
//	secure.go    attacks below and around TLS
//	attacker.go  the process in which an attack runs
//	warmup.go    the clients of a server that has worked, before the memory at the start is measured
//	main.go      the runs and their table
//
// # Why
//
// An attack runs in a process of its own, of the lowest priority: in the real world it takes no time of the server's processors.
//
// The start is measured after a warm-up, since the memory that the first clients of any server take is not the attack's. The account is
// measured while the attackers stand still, since the collector counts as live what is made while it marks.
//
// The clients are goroutines with blocking sockets. A few hundred are enough, and the code of an attack should read like its
// description.
//
// The sealer does not use package tlsrecord: its records are there to break the rules that tlsrecord keeps.
package main
