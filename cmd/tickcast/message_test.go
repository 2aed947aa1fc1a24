package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDidYouMean(t *testing.T) {
	names := []string{"listen", "internal_listen", "loops", "node"}
	for word, want := range map[string]string{
		"lisen":           "listen",
		"LISTEN":          "listen",
		"loop":            "loops",
		"internal_lisetn": "internal_listen",
		"nod":             "node",
		"mode":            "node",
		"port":            "", // three letters differ from node's
		"no":              "", // too short to be a slip of anything
		"":                "",
	} {
		got := didYouMean(word, names)
		if want != "" {
			want = fmt.Sprintf("did you mean %q?", want)
		}
		if got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"kitten", "sitting", 3},
		{"ab", "ba", 2},
	} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestReport(t *testing.T) {
	plain := errors.New("plain")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{plain, "tickcast: error: plain\n"},
		{errors.Join(plain, errors.Join(withHint(errors.New("a"), "do b"), plain)),
			"tickcast: error: plain\ntickcast: error: a\ntickcast: hint: do b\ntickcast: error: plain\n"},
		{fmt.Errorf("start: %w", withHint(plain, "try")), "tickcast: error: start: plain\ntickcast: hint: try\n"},
		{fmt.Errorf("%w and %w", plain, plain), "tickcast: error: plain and plain\n"},
	} {
		var b strings.Builder
		if report(&b, tt.err); b.String() != tt.want {
			t.Errorf("report(%v) wrote\n%swant\n%s", tt.err, b.String(), tt.want)
		}
	}
}
