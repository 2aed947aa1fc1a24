package config

import (
	"fmt"
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
		"port":            "", // differs from node in three letters
		"no":              "", // too short for a suggestion
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
