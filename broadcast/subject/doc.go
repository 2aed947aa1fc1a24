// Package subject has the rules for the names of topics and NATS subjects: valid names, the patterns that match a name, and
// the subject behind a topic.
//
// A name consists of tokens separated by dots. In a pattern the token * matches any one token, and > at the end matches
// one or more tokens.
//
// # Layout
//
//	check.go    the rules for a name
//	cover.go    comparisons of two patterns
//	mapping.go  topics to subjects and back
//	trie.go     values found by subject or by pattern
//	walk.go     a walk over a trie that may change meanwhile
//
// # Why
//
// The package imports neither net nor os nor time: it computes on strings alone. So every layer may use it, and tests can
// try all short names.
package subject
