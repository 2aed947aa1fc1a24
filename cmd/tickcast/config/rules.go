package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tickcast/broadcast/subject"
	"tickcast/cmd/message"
)

// A validation collects the problems of a configuration.
type validation struct {
	class    string // the class of topics under validation; "" = none
	problems []error
}

// add appends a problem of key's value.
func (v *validation) add(key, format string, args ...any) {
	v.problems = append(v.problems, &keyError{key: key, class: v.class, err: fmt.Errorf(format, args...)})
}

// addHint appends a problem of key's value, with advice.
func (v *validation) addHint(key, hint, format string, args ...any) {
	v.add(key, "%w", message.WithHint(fmt.Errorf(format, args...), hint))
}

// between requires low <= n <= high.
func between[T int | Size | time.Duration](v *validation, key string, n, low, high T) {
	if n < low || n > high {
		v.add(key, "must be between %s and %s, not %s", valueText(low), valueText(high), valueText(n))
	}
}

// zeroOr requires 0 or low <= n <= high.
func zeroOr[T int | Size | time.Duration](v *validation, key string, n, low, high T) {
	if n != 0 && (n < low || n > high) {
		v.add(key, "must be 0 or between %s and %s, not %s", valueText(low), valueText(high), valueText(n))
	}
}

// valueText returns n as it stands in the file.
func valueText(n any) string {
	if d, ok := n.(time.Duration); ok {
		return formatDuration(d)
	}
	return fmt.Sprint(n)
}

// oneOf requires one of the known values.
func (v *validation) oneOf(key, s string, known ...string) {
	if !slices.Contains(known, s) {
		v.add(key, "must be one of %s, not %q", strings.Join(known, ", "), s)
	}
}

// maxTopicLength is the largest limits.max_topic_length: half of the line that NATS allows for a command and its subject.
const maxTopicLength = 2048

// patterns requires topics or patterns that a client may name.
func (v *validation) patterns(key string, patterns []string, maxLength int) {
	for _, p := range patterns {
		if err := subject.Check(p, maxLength, maxLength); err != nil {
			v.add(key, "%.80q: %w", p, err)
		}
	}
}
