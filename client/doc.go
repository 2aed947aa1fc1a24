// Package client is the Go client of Tickcast: topics over a WebSocket that comes back by itself, resumes where it was, and tells
// every loss. Its behaviour is that of docs/client.md.
//
//	c, err := client.New("wss://ticks.example.com/stream", client.Options{
//		OnLost: func(l client.Lost) { log.Printf("%s after %s: %s", l.Topic, l.From, l.Why) },
//	})
//	if err != nil {
//		return err
//	}
//	_, err = c.Subscribe(func(m client.Message) { fmt.Println(m.Topic, m.Seq, string(m.Data)) },
//		client.SubscribeOptions{}, "px.AAPL", "px.FX.*")
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx)
//
// # Layout
//
//	errors.go         Error and Lost
//	topics.go         patterns that cover topics
//	retry.go          whether and when a client comes back
//	wire.go           messages, answers, commands, cursors
//	queue.go          what the application has to be told
//	subscriptions.go  topics and patterns, their handlers and states, and the commands that ask for them
//	deliver.go        where messages and answers go; losses
//	commands.go       commands that wait for an answer
//	connection.go     a WebSocket from its opening to its end
//	received.go       the messages of the server
//	client.go         Client: Run, and the methods for applications
//	latest.go         the newest messages by one request
//
// # Rules
//
//   - The goroutine of Run reads, writes, and calls the handlers and the functions of Options, in the order of the messages and
//     without the lock. A second goroutine reads the WebSocket, and has one message at most in hand.
//   - All state of a client is guarded by one mutex, which nobody holds while waiting.
//   - A command is never sent twice.
//
// # Why
//
// Run blocks and returns an error, so that a refusal for good, or a loss for which the application has no handler, cannot be
// overlooked.
//
// A handler that is slow slows the reading down, without a queue in between. The server sees that, and replaces messages of mode
// "last" by newer ones; a queue here would only make them old.
//
// The package imports nothing of this module, so that programs that use it contain no server.
package client
