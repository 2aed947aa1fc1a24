// Package message writes the errors of the commands to the terminal: "PROGRAM: error: ..." and, on a line of its own,
// "PROGRAM: hint: ..." with advice for the operator. A line is one message, in lower case and without a full stop.
package message

import (
	"errors"
	"fmt"
	"io"
)

// A hintError is an error with advice for the operator.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// WithHint returns err with advice for the operator. Without an error or a hint it returns err alone.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hintError{err, hint}
}

// Hint returns the advice that comes with err, or "".
func Hint(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// Report writes err to w: a line for each of its joined errors, and a line for each hint.
func Report(w io.Writer, program string, err error) {
	for _, err := range Split(err) {
		fmt.Fprintf(w, "%s: error: %v\n", program, err)
		if hint := Hint(err); hint != "" {
			fmt.Fprintf(w, "%s: hint: %s\n", program, hint)
		}
	}
}

// Split returns the errors that errors.Join joined into err, in their order. An error that wraps several with a text of its
// own stays whole, so that its text is not lost.
func Split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, Split(e)...)
	}
	return list
}
