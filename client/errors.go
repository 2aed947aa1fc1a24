package client

import (
	"errors"
	"fmt"
)

// Errors of commands that got no answer, and of Run.
var (
	// ErrDisconnected says that the connection ended before the answer came: whether the server carried out the command is not known.
	ErrDisconnected = errors.New("client: disconnected before the answer")
	// ErrTooMany says that 256 commands wait for an answer already.
	ErrTooMany = errors.New("client: too many commands wait for an answer")
	// ErrRunning says that Run is called while it runs.
	ErrRunning = errors.New("client: Run is running")
)

// An Error is a refusal by the server.
type Error struct {
	// Code is one of the server's error codes (100 to 199), an HTTP status (400 to 599) or a close code (1000 and above).
	Code    int
	Message string
	Topic   string // or pattern; empty if the error concerns none
	Retry   bool   // the client tries again by itself
}

func (e *Error) Error() string {
	if e.Topic != "" {
		return fmt.Sprintf("client: %s: %s (%d)", e.Topic, e.Message, e.Code)
	}
	return fmt.Sprintf("client: %s (%d)", e.Message, e.Code)
}

// A Lost tells that messages of a topic of mode "all" did not arrive and will not. It is an error where nobody listens for it.
type Lost struct {
	Topic string // or the pattern of a subscription of which any topic may have lost messages
	From  string // the cursor of the last message before the loss; empty if it is not known
	Why   string // "not recovered", "no cursor", "missing", or the server's reason
}

func (l *Lost) Error() string {
	return fmt.Sprintf("client: %s lost messages after %q: %s", l.Topic, l.From, l.Why)
}
