package broadcast

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// naiveMatch is what the trie and covers are held against: does pattern match subject, token by token?
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

func TestCheckTopic(t *testing.T) {
	const longest = 12
	for _, c := range []struct {
		topic string
		want  error
	}{
		{"px", nil},
		{"px.AAPL", nil},
		{"a.b.c.d", nil},
		{"123456789012", nil},
		{"*", nil},
		{">", nil},
		{"px.*", nil},
		{"px.>", nil},
		{"*.*.>", nil},
		{"*.px.*", nil},
		{"straße.日", nil},
		{"a$b._c", nil}, // reserved at the start only
		{"px.$A", nil},

		{"", errTopicEmpty},
		{"1234567890123", errTopicLong},
		{"日日日日a", errTopicLong}, // bytes, not characters

		{"$SYS.>", errTopicReserved},
		{"$", errTopicReserved},
		{"_INBOX.x", errTopicReserved},
		{"_", errTopicReserved},

		{".", errTopicToken},
		{".px", errTopicToken},
		{"px.", errTopicToken},
		{"px..A", errTopicToken},

		{"p x", errTopicChar},
		{"px. ", errTopicChar},
		{"p\tx", errTopicChar},
		{"p\nx", errTopicChar},
		{"p\x00x", errTopicChar},
		{"p\x7fx", errTopicChar},
		{"p\xffx", errTopicChar},
		{"\xc3", errTopicChar},

		{">.px", errTopicWildcard},
		{"px.>.A", errTopicWildcard},
		{">.>", errTopicWildcard},
		{"px.A*", errTopicWildcard},
		{"px.*A", errTopicWildcard},
		{"px.**", errTopicWildcard},
		{"px.A>", errTopicWildcard},
		{"px.>>", errTopicWildcard},
	} {
		if err := CheckTopic(c.topic, longest, 8); !errors.Is(err, c.want) {
			t.Errorf("CheckTopic(%q) = %v, want %v", c.topic, err, c.want)
		}
	}
}

func TestCheckConcrete(t *testing.T) {
	for topic, want := range map[string]error{
		"px.A": nil, "px.*": errTopicConcrete, ">": errTopicConcrete, "px..A": errTopicToken, "px.A.toolong": errTopicLong,
	} {
		if err := checkConcrete(topic, 8, 8); !errors.Is(err, want) {
			t.Errorf("checkConcrete(%q) = %v, want %v", topic, err, want)
		}
	}
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
	} {
		if got := Covers(c.outer, c.inner); got != c.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", c.outer, c.inner, got, c.want)
		}
	}
	if coveredBy(nil, "px.A") || !coveredBy([]string{"q", "px.*"}, "px.A") || coveredBy([]string{"q", "px.*"}, "px.>") {
		t.Error("coveredBy does not ask each pattern")
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

// Two letters that a pattern may hold and one that it cannot are enough to tell any two short patterns apart.
func TestCoversIsSubsetOfSubjects(t *testing.T) {
	subjects := words([]string{"a", "b", "z"}, 4)
	patterns := slices.DeleteFunc(words([]string{"a", "b", "*", ">"}, 3), func(p string) bool { return CheckTopic(p, 99, 99) != nil })
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
