package wire

import (
	"errors"
	"fmt"
	"strconv"

	"tickcast/wsproto"
)

// StatusSlowConsumer closes a client that is too slow for a lossless topic; docs/protocol.md lists the status codes.
const StatusSlowConsumer wsproto.StatusCode = 4003

// ErrorCode tells a client the kind of an error; docs/protocol.md lists them.
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
	CodeExpired      ErrorCode = 109
	CodeTooMany      ErrorCode = 111
	CodeCodec        ErrorCode = 120
	CodeNoSuchTier   ErrorCode = 121
)

// Error is the reply to a command that failed, or to one of its topics; see [ErrFrame] and [Ack]. The client reads the
// reason.
type Error struct {
	Code   ErrorCode
	Reason string
}

func (e *Error) Error() string { return "wire: " + e.Reason }

// ErrorOf returns the *Error in err's chain. Any other error becomes [CodeInternal], and its text stays on the server.
func ErrorOf(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{CodeInternal, "internal error"}
	}
	return e
}

// BadRequest returns an error with [CodeBadRequest].
func BadRequest(format string, args ...any) *Error {
	return &Error{CodeBadRequest, "bad request: " + fmt.Sprintf(format, args...)}
}

// Quoted cuts a client's string to 32 bytes and quotes it for the reason of an [Error].
func Quoted(s string) string {
	const most = 32
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
