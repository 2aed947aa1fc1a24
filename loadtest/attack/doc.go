// Command attack runs the attacks of docs/operation.md against a server of its own, and prints the effects: the 99th
// percentile of the bystanders' latency before, during and after each attack, and the memory of the server before, at its
// peak and after.
//
//	go build -o bin/tickcast ./cmd/tickcast && go run ./loadtest/attack -server bin/tickcast
//
// Every attack has a server with the same keys (server.go). The exit status is 1 if a row is outside of its bounds: a latency over
// twice the quiet one and over -latency, memory over -memory beyond the start, or memory a tenth over the start 30 s later.
//
// # Layout
//
//	client.go   a WebSocket client without rules
//	feed.go     the feed, and the bystanders that read it
//	server.go   the server under attack: its keys, its memory, its end
//	attacks.go  the attacks
//	attacker.go the process in which an attack runs
//	main.go     the runs and their table
//
// # Why
//
// An attack runs in a process of its own, of the lowest priority: in the real world it takes no time of the server's processors.
//
// The clients are goroutines with blocking sockets. A few hundred are enough, and the code of an attack should read like its
// description.
package main
