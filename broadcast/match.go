package broadcast

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Reasons why a text is not a topic. They travel to clients in error 107.
var (
	errTopicEmpty    = errors.New("empty topic")
	errTopicLong     = errors.New("topic too long")
	errTopicTokens   = errors.New("topic has too many tokens")
	errTopicToken    = errors.New("topic has an empty token")
	errTopicChar     = errors.New("topic has a space, a control character or bad UTF-8")
	errTopicWildcard = errors.New("wildcard inside a token, or > before the end")
	errTopicConcrete = errors.New("wildcards are not allowed here")
	errTopicReserved = errors.New("topics that start with $ or _ are reserved")
)

// CheckTopic says why s is not a topic or pattern of at most maxLength bytes and maxTokens tokens, or nil.
// A topic is a NATS subject: tokens separated by dots; in a pattern a token may be * (any one token) and the last one
// > (one or more tokens). Subjects that start with $ or _ carry NATS's own traffic and are refused.
func CheckTopic(s string, maxLength, maxTokens int) error {
	switch {
	case s == "":
		return errTopicEmpty
	case len(s) > maxLength:
		return errTopicLong
	case s[0] == '$' || s[0] == '_':
		return errTopicReserved
	case !utf8.ValidString(s):
		return errTopicChar
	case strings.Count(s, ".") >= maxTokens:
		return errTopicTokens
	}
	for rest, more := s, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if token == "" {
			return errTopicToken
		}
		if token == "*" || token == ">" && !more {
			continue
		}
		for _, r := range token {
			switch {
			case r <= ' ' || r == 0x7f:
				return errTopicChar
			case r == '*' || r == '>':
				return errTopicWildcard
			}
		}
	}
	return nil
}

// checkConcrete is CheckTopic for a topic without wildcards.
func checkConcrete(s string, maxLength, maxTokens int) error {
	if err := CheckTopic(s, maxLength, maxTokens); err != nil {
		return err
	}
	if isPattern(s) {
		return errTopicConcrete
	}
	return nil
}

// isPattern reports whether the valid topic s has wildcards.
func isPattern(s string) bool { return strings.ContainsAny(s, "*>") }

// Covers reports whether every subject that pattern inner matches is matched by pattern outer as well. Both are valid; a
// topic without wildcards covers itself.
func Covers(outer, inner string) bool {
	for {
		o, orest, omore := strings.Cut(outer, ".")
		i, irest, imore := strings.Cut(inner, ".")
		switch {
		case o == ">":
			return true
		case i == ">":
			return false
		case o != "*" && o != i:
			return false
		case !omore || !imore:
			return omore == imore
		}
		outer, inner = orest, irest
	}
}

// coveredBy reports whether one of patterns covers topic.
func coveredBy(patterns []string, topic string) bool {
	for _, p := range patterns {
		if Covers(p, topic) {
			return true
		}
	}
	return false
}

// A trie finds values by subject or pattern, token by token. The zero value is empty. It has no lock.
type trie[T any] struct {
	root node[T]
	n    int
}

type node[T any] struct {
	next  map[string]*node[T] // by token; "*" and ">" are tokens as well
	value T
	set   bool
}

// insert puts v at key, a valid topic or pattern, in place of what was there.
func (t *trie[T]) insert(key string, v T) {
	at := &t.root
	for rest, more := key, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		child := at.next[token]
		if child == nil {
			child = new(node[T])
			if at.next == nil {
				at.next = make(map[string]*node[T], 1)
			}
			at.next[strings.Clone(token)] = child
		}
		at = child
	}
	if !at.set {
		t.n++
	}
	at.value, at.set = v, true
}

// remove takes key out, and with it the nodes that only led there.
func (t *trie[T]) remove(key string) {
	if t.root.remove(key) {
		t.n--
	}
}

func (at *node[T]) remove(key string) bool {
	token, rest, more := strings.Cut(key, ".")
	child := at.next[token]
	if child == nil {
		return false
	}
	removed := false
	if more {
		removed = child.remove(rest)
	} else if child.set {
		var zero T
		child.value, child.set, removed = zero, false, true
	}
	if removed && !child.set && len(child.next) == 0 {
		delete(at.next, token)
	}
	return removed
}

// value returns what key was inserted with, or the zero T.
func (t *trie[T]) value(key string) (v T) {
	at := &t.root
	for rest, more := key, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if at = at.next[token]; at == nil {
			return v
		}
	}
	return at.value
}

// match appends the values of all keys, taken as patterns, that match subject.
func (t *trie[T]) match(dst []T, subject string) []T {
	if t.n == 0 {
		return dst
	}
	return t.root.match(dst, subject)
}

func (at *node[T]) match(dst []T, subject string) []T {
	token, rest, more := strings.Cut(subject, ".")
	if tail := at.next[">"]; tail != nil && tail.set {
		dst = append(dst, tail.value)
	}
	star, exact := at.next["*"], at.next[token]
	for _, child := range [...]*node[T]{star, exact} {
		switch {
		case child == nil:
		case more:
			dst = child.match(dst, rest)
		case child.set:
			dst = append(dst, child.value)
		}
	}
	return dst
}

// under appends the values of all keys, taken as subjects, that pattern matches.
func (t *trie[T]) under(dst []T, pattern string) []T { return t.root.under(dst, pattern) }

func (at *node[T]) under(dst []T, pattern string) []T {
	token, rest, more := strings.Cut(pattern, ".")
	if token == ">" {
		for _, child := range at.next {
			dst = child.all(dst)
		}
		return dst
	}
	visit := func(child *node[T]) {
		switch {
		case more:
			dst = child.under(dst, rest)
		case child.set:
			dst = append(dst, child.value)
		}
	}
	if token == "*" {
		for _, child := range at.next {
			visit(child)
		}
	} else if child := at.next[token]; child != nil {
		visit(child)
	}
	return dst
}

func (at *node[T]) all(dst []T) []T {
	if at.set {
		dst = append(dst, at.value)
	}
	for _, child := range at.next {
		dst = child.all(dst)
	}
	return dst
}
