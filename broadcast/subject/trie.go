package subject

import "strings"

// A Trie finds values by subject or pattern, token by token. The zero value is empty. It has no lock.
type Trie[T any] struct {
	root node[T]
	size int
}

type node[T any] struct {
	next  map[string]*node[T] // by token; "*" and ">" are tokens as well
	value T
	set   bool
}

// Len returns the number of keys.
func (t *Trie[T]) Len() int { return t.size }

// Insert sets the value of key, a valid subject or pattern.
func (t *Trie[T]) Insert(key string, v T) {
	n := &t.root
	for token := range strings.SplitSeq(key, ".") {
		child := n.next[token]
		if child == nil {
			child = new(node[T])
			if n.next == nil {
				n.next = make(map[string]*node[T], 1)
			}
			n.next[strings.Clone(token)] = child
		}
		n = child
	}
	if !n.set {
		t.size++
	}
	n.value, n.set = v, true
}

// Remove deletes key and the nodes that only led to it.
func (t *Trie[T]) Remove(key string) {
	if t.root.remove(key) {
		t.size--
	}
}

func (n *node[T]) remove(key string) bool {
	token, tail, more := strings.Cut(key, ".")
	child := n.next[token]
	if child == nil {
		return false
	}
	removed := false
	if more {
		removed = child.remove(tail)
	} else if child.set {
		var zero T
		child.value, child.set, removed = zero, false, true
	}
	if removed && !child.set && len(child.next) == 0 {
		delete(n.next, token)
	}
	return removed
}

// Value returns the value of key, or the zero T without one.
func (t *Trie[T]) Value(key string) (v T) {
	n := &t.root
	for token := range strings.SplitSeq(key, ".") {
		if n = n.next[token]; n == nil {
			return v
		}
	}
	return n.value
}

// Match appends the values of all keys, taken as patterns, that match subject.
func (t *Trie[T]) Match(dst []T, subject string) []T {
	if t.size == 0 {
		return dst
	}
	return t.root.match(dst, subject)
}

func (n *node[T]) match(dst []T, subject string) []T {
	token, tail, more := strings.Cut(subject, ".")
	if end := n.next[">"]; end != nil && end.set {
		dst = append(dst, end.value)
	}
	star, exact := n.next["*"], n.next[token]
	for _, child := range [...]*node[T]{star, exact} {
		switch {
		case child == nil:
		case more:
			dst = child.match(dst, tail)
		case child.set:
			dst = append(dst, child.value)
		}
	}
	return dst
}

// Under appends the values of all keys, taken as subjects, that pattern matches.
func (t *Trie[T]) Under(dst []T, pattern string) []T { return t.root.under(dst, pattern) }

func (n *node[T]) under(dst []T, pattern string) []T {
	token, tail, more := strings.Cut(pattern, ".")
	if token == ">" {
		for _, child := range n.next {
			dst = child.all(dst)
		}
		return dst
	}
	visit := func(child *node[T]) {
		switch {
		case more:
			dst = child.under(dst, tail)
		case child.set:
			dst = append(dst, child.value)
		}
	}
	if token == "*" {
		for _, child := range n.next {
			visit(child)
		}
	} else if child := n.next[token]; child != nil {
		visit(child)
	}
	return dst
}

// all appends the values of the node and of all nodes below it.
func (n *node[T]) all(dst []T) []T {
	if n.set {
		dst = append(dst, n.value)
	}
	for _, child := range n.next {
		dst = child.all(dst)
	}
	return dst
}
