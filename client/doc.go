// Package client is the Go client of Tickcast: topics over a connection that comes back by itself, resumes where it was, and tells
// every loss. The connection is a WebSocket; where a proxy blocks it, the client falls back to Server-Sent Events and then to long
// polling, and comes back to WebSocket later. Its behaviour is that of docs/client.md.
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
//	places.go         how far subscriptions have come together, and the request that resumes them
//	deliver.go        where messages and answers go; losses
//	commands.go       commands that wait for an answer
//	transport.go      a line: what every transport is
//	request.go        requests that name all subscriptions, and refusals
//	websocket.go      the line by WebSocket
//	eventstream.go    the reader of text/event-stream
//	events.go         the line by Server-Sent Events
//	poll.go           the line by long polling
//	choice.go         the transport of the next attempt
//	connection.go     a line from its opening to its end
//	received.go       the messages of the server
//	client.go         Client: Run, and the methods for applications
//	latest.go         the newest messages by one request
//
// # Rules
//
//   - The goroutine of Run reads, writes, and calls the handlers and the functions of Options, in the order of the messages and
//     without the lock. A second goroutine reads the line, and has one message at most in hand, or one answer to a poll.
//   - What is done with a message does not depend on the transport: a line differs in whether it takes commands, and in who names the
//     places behind messages.
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
// A fallback has one cursor for all topics of an epoch. It is the lowest place of theirs, and what comes once more is left out: a
// higher one could pass over messages that a topic has missed, and nobody would be told. The places come from the server where it
// names them, since it alone knows what its writes hold.
//
// The reader of event streams is our own: it has to say when a comment comes, since that is a sign of life, and to bound an event.
//
// The package imports nothing of this module, so that programs that use it contain no server.
package client
