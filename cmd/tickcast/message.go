package main

// What the terminal is told follows three rules: each line begins with "tickcast: error:" or "tickcast: hint:", says one
// thing in lower case without a full stop, and goes to standard error. Only what was asked for goes to standard output.

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// A hintError is an error with advice on its own line.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint returns err with advice for the operator, or err alone if hint is empty.
func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return &hintError{err, hint}
}

// A usageError is a command line that cannot be understood: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// report writes err to w, a line for each of its joined errors and for each hint.
func report(w io.Writer, err error) {
	for _, err := range flatten(nil, err) {
		fmt.Fprintf(w, "tickcast: error: %v\n", err)
		var h *hintError
		if errors.As(err, &h) {
			fmt.Fprintf(w, "tickcast: hint: %s\n", h.hint)
		}
	}
}

// flatten appends the errors that errors.Join put together in err. An error that wraps several with a text of its own
// stays whole, or the text would be lost.
func flatten(list []error, err error) []error {
	if err == nil {
		return list
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() {
		return append(list, err)
	}
	for _, e := range joined.Unwrap() {
		list = flatten(list, e)
	}
	return list
}

// didYouMean returns a hint at the candidate that word is most likely a slip of, or "" if none is near: one slip in three
// letters, at most two, upper and lower case being no slip.
func didYouMean(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, distance := "", min(len(word)/3, 2)+1
	for _, c := range candidates {
		if d := editDistance(word, strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance returns how many bytes must be inserted, removed or replaced to make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances from the part of a so far to each prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
