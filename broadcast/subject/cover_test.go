package subject

import (
	"slices"
	"strings"
	"testing"
)

// naiveMatch reports whether pattern matches subject, token by token. It is the oracle for the trie and Covers.
func naiveMatch(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"px.A", "px.A", true},
		{"px.A", "px.B", false},
		{"px", "px.A", false},
		{"px.A", "px", false},
		{"*", "px", true},
		{"*", "px.A", false},
		{"px.*", "px.*", true},
		{"px.*", "px.A", true},
		{"px.A", "px.*", false},
		{"px.>", "px.A.B", true},
		{"px.>", "px", false},
		{"px.>", "px.*", true},
		{"px.*", "px.>", false},
		{">", "px.A", true},
		{">", ">", true},
		{"*", ">", false},
		{"*.>", ">", false},
		{">", "*.>", true},
		{"*.*", "*.>", false},
		{">", "a", true},
		{"*", "a", true},
		{"*", "*", true},
		{"a.*", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a.*", true},
		{"a.>", "a.*.>", true},
		{"*.>", "a.>", true},
		{"*.b", "a.b", true},
		{"a.b", "a.b", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.>", "a", false},
		{"a.*", "a.>", false},
		{"a.*", "a.b.c", false},
		{"a.b", "a.*", false},
		{"a.>", "*.b", false},
	} {
		if got := Covers(c.outer, c.inner); got != c.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", c.outer, c.inner, got, c.want)
		}
	}
	if CoveredBy(nil, "px.A") || !CoveredBy([]string{"q", "px.*"}, "px.A") || CoveredBy([]string{"q", "px.*"}, "px.>") {
		t.Error("CoveredBy does not ask each pattern")
	}
}

// words returns all sequences of 1 to n tokens.
func words(tokens []string, n int) []string {
	all := slices.Clone(tokens)
	for from, length := 0, 1; length < n; length++ {
		end := len(all)
		for _, w := range all[from:end] {
			for _, token := range tokens {
				all = append(all, w+"."+token)
			}
		}
		from = end
	}
	return all
}

// Two letters that a pattern may hold and one that it cannot are enough to distinguish any two short patterns.
func TestCoversIsSubsetOfSubjects(t *testing.T) {
	subjects := words([]string{"a", "b", "z"}, 4)
	patterns := slices.DeleteFunc(words([]string{"a", "b", "*", ">"}, 3), func(p string) bool { return Check(p, 99, 99) != nil })
	if len(patterns) < 30 {
		t.Fatalf("only %d patterns", len(patterns))
	}
	for _, outer := range patterns {
		for _, inner := range patterns {
			want := true
			for _, s := range subjects {
				if naiveMatch(inner, s) && !naiveMatch(outer, s) {
					want = false
					break
				}
			}
			if got := Covers(outer, inner); got != want {
				t.Errorf("Covers(%q, %q) = %v, want %v", outer, inner, got, want)
			}
		}
		for _, s := range subjects { // a subject is a pattern that matches itself alone
			if Covers(outer, s) != naiveMatch(outer, s) {
				t.Errorf("Covers(%q, %q) = %v", outer, s, !naiveMatch(outer, s))
			}
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"px.>", "px.A", true}, {"px.>", "px", false}, {"px.*", "*.A", true}, {"px.*", "px.A.B", false},
		{"px.*.B", "px.A.>", true}, {"px", "px", true}, {"px", "py", false}, {">", "a.b", true}, {"*.b", "a.>", true},
	} {
		if Overlap(c.a, c.b) != c.want || Overlap(c.b, c.a) != c.want {
			t.Errorf("overlap of %s and %s: want %v", c.a, c.b, c.want)
		}
	}
}
