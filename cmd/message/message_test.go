package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	plain := errors.New("plain")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{plain, "tickcast: error: plain\n"},
		{errors.Join(plain, errors.Join(WithHint(errors.New("a"), "do b"), plain)),
			"tickcast: error: plain\ntickcast: error: a\ntickcast: hint: do b\ntickcast: error: plain\n"},
		{fmt.Errorf("start: %w", WithHint(plain, "try")), "tickcast: error: start: plain\ntickcast: hint: try\n"},
		{fmt.Errorf("%w and %w", plain, plain), "tickcast: error: plain and plain\n"},
	} {
		var b strings.Builder
		if Report(&b, "tickcast", tt.err); b.String() != tt.want {
			t.Errorf("Report(%v) wrote\n%swant\n%s", tt.err, b.String(), tt.want)
		}
	}
}
