package broadcast

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An ErrorCode tells a client what went wrong; docs/protocol.md lists them.
type ErrorCode int

const (
	CodeInternal     ErrorCode = 100
	CodeUnauthorized ErrorCode = 101
	CodeUnknownTopic ErrorCode = 102
	CodeDenied       ErrorCode = 103
	CodeUnknownOp    ErrorCode = 104
	CodeLimit        ErrorCode = 106
	CodeBadRequest   ErrorCode = 107
	CodeNotAvailable ErrorCode = 108
	CodeTooMany      ErrorCode = 111
	CodeCodec        ErrorCode = 120
	CodeNoSuchTier   ErrorCode = 121
)

// A CommandError is answered to the client as err, or as one of ack's errors.
type CommandError struct {
	Code   ErrorCode
	Reason string
}

func (e *CommandError) Error() string { return "broadcast: " + e.Reason }

func badRequest(format string, args ...any) *CommandError {
	return &CommandError{CodeBadRequest, "bad request: " + fmt.Sprintf(format, args...)}
}

// A Command is what a client asks for in one text message.
type Command struct {
	Op     string          `json:"op"`
	ID     json.RawMessage `json:"id"` // a number or a string, echoed; nil = none
	Topics []string        `json:"topics"`
	Topic  string          `json:"topic"`
	Data   json.RawMessage `json:"data"`
	Rate   string          `json:"rate"`
	After  string          `json:"after"`
}

// maxID is the longest id of a command in bytes, without its quotes. Chosen by us: a UUID fits.
const maxID = 64

// ParseCommand reads a client's message. The error is a *CommandError with code 107; the command's ID is then set as far
// as it could be read, so that the answer can name it. Fields that are not known are ignored.
func ParseCommand(b []byte) (*Command, error) {
	c := new(Command)
	if err := json.Unmarshal(b, c); err != nil {
		id := c.ID
		if !validID(id) {
			id = nil
		}
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			return &Command{ID: id}, badRequest("not JSON at byte %d", syntax.Offset)
		case errors.As(err, &kind) && kind.Field != "":
			return &Command{ID: id}, badRequest("%q must not be a %s", kind.Field, kind.Value)
		default:
			return &Command{ID: id}, badRequest("not a JSON object")
		}
	}
	if bytes.Equal(c.ID, []byte("null")) {
		c.ID = nil
	}
	if !validID(c.ID) {
		return &Command{}, badRequest("id must be a number or a string of at most %d bytes", maxID)
	}
	if c.Op == "" {
		return c, badRequest("no op")
	}
	return c, nil
}

func validID(id json.RawMessage) bool {
	if len(id) == 0 {
		return true
	}
	if id[0] == '"' {
		return len(id) <= maxID+len(`""`)
	}
	return len(id) <= maxID && (id[0] == '-' || '0' <= id[0] && id[0] <= '9')
}

// A cursor is a position in a topic: EPOCH:SEQ.
type cursor struct {
	epoch string
	seq   uint64
}

func parseCursor(s string) (cursor, error) {
	epoch, digits, ok := strings.Cut(s, ":")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || epoch == "" {
		return cursor{}, badRequest("after must be a cursor such as k3Qd:918273")
	}
	return cursor{epoch, seq}, nil
}
