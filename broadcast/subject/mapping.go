package subject

import (
	"slices"
	"strconv"
	"strings"
)

// A Mapping turns the topics that match a pattern into subjects and back. The form of the subjects contains $1, $2 and so
// on, which stand for the tokens that the first, second, ... * of the pattern matches. A > at the end of both stands for
// the same tokens.
type Mapping struct {
	from, to []string // tokens
	star     []int    // by token of to: n-1 for $n, else -1
}

// NewMapping returns the mapping from the topics that match to their subjects.
func NewMapping(match, subject string) Mapping {
	m := Mapping{from: strings.Split(match, "."), to: strings.Split(subject, ".")}
	for _, token := range m.to {
		n, _ := StarNumber(token)
		m.star = append(m.star, n-1)
	}
	return m
}

// StarNumber returns 2 for the token "$2", which stands for the token that the second * matches. A number has no leading
// zeros.
func StarNumber(token string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(token, "$")
	if !ok {
		return 0, false
	}
	if n, err := strconv.Atoi(digits); err == nil && strconv.Itoa(n) == digits {
		return n, true
	}
	return 0, false
}

// Pattern returns the pattern that matches all subjects of the mapping.
func (m *Mapping) Pattern() string {
	tokens := slices.Clone(m.to)
	for i := range tokens {
		if m.star[i] >= 0 {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// Apply returns the subject of a topic that matches, or of a pattern that the match covers.
func (m *Mapping) Apply(topic string) string {
	stars, tail := split(m.from, strings.Split(topic, "."))
	subject := make([]string, 0, len(m.to)+len(tail))
	for i, token := range m.to {
		switch {
		case m.star[i] >= 0 && m.star[i] < len(stars):
			subject = append(subject, stars[m.star[i]])
		case token == ">":
			subject = append(subject, tail...)
		default:
			subject = append(subject, token)
		}
	}
	return strings.Join(subject, ".")
}

// Invert returns the topic of a subject, and false if the mapping leads to no such subject.
func (m *Mapping) Invert(subject string) (topic string, ok bool) {
	if !Covers(m.Pattern(), subject) {
		return "", false
	}
	given := strings.Split(subject, ".")
	tokens := make([]string, 0, len(given)+len(m.from))
	star := 0
	for _, token := range m.from {
		switch token {
		case "*":
			i := slices.Index(m.star, star)
			if i < 0 {
				return "", false
			}
			tokens = append(tokens, given[i])
			star++
		case ">":
			tokens = append(tokens, given[len(m.to)-1:]...)
		default:
			tokens = append(tokens, token)
		}
	}
	return strings.Join(tokens, "."), true
}

// split returns the tokens of topic that the stars of pattern match, and those that its > matches.
func split(pattern, topic []string) (stars, tail []string) {
	for i, token := range pattern {
		switch {
		case token == ">":
			return stars, topic[min(i, len(topic)):]
		case i >= len(topic):
			return stars, nil
		case token == "*":
			stars = append(stars, topic[i])
		}
	}
	return stars, nil
}
