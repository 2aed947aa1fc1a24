package subject

import (
	"reflect"
	"strings"
)

// A Walk visits the values of the keys of a trie, taken as subjects, that a pattern matches, one after the other. The trie may change
// meanwhile: a key that comes or goes is visited or not.
type Walk[T any] struct {
	next  *node[T] // to be visited; may be nil
	stack []level  // the nodes on the way there, the root first
}

// A level is a node whose children are visited. Only an iterator of package reflect can wait in the middle of a map.
type level struct {
	children *reflect.MapIter // the values are of type *node[T]
	tail     string           // of the pattern, for the nodes below the children
	more     bool             // there is a tail: the children themselves do not match
}

// Walk begins a walk.
func (t *Trie[T]) Walk(pattern string) *Walk[T] {
	w := new(Walk[T])
	w.enter(&t.root, pattern)
	return w
}

// enter begins with the nodes below n that a pattern matches.
func (w *Walk[T]) enter(n *node[T], pattern string) {
	for n != nil {
		token, tail, more := strings.Cut(pattern, ".")
		if len(n.next) == 0 { // most nodes are leaves: an iterator for each would be the garbage of a walk
			return
		}
		switch token {
		case "*":
			w.stack = append(w.stack, level{reflect.ValueOf(n.next).MapRange(), tail, more})
			return
		case ">":
			w.stack = append(w.stack, level{reflect.ValueOf(n.next).MapRange(), ">", false})
			return
		}
		if n = n.next[token]; !more {
			w.next = n
			return
		}
		pattern = tail
	}
}

// Next returns the next value, or false at the end.
func (w *Walk[T]) Next() (v T, ok bool) {
	for {
		if n := w.next; n != nil {
			if w.next = nil; n.set {
				return n.value, true
			}
		}
		if len(w.stack) == 0 {
			return v, false
		}
		l := w.stack[len(w.stack)-1]
		if !l.children.Next() {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		child := l.children.Value().Interface().(*node[T])
		if !l.more {
			w.next = child
		}
		if l.tail != "" {
			w.enter(child, l.tail)
		}
	}
}

// Any reports whether a key, taken as a pattern, matches subject. It stops at the first.
func (t *Trie[T]) Any(subject string) bool { return t.size > 0 && t.root.any(subject) }

func (n *node[T]) any(subject string) bool {
	if end := n.next[">"]; end != nil && end.set {
		return true
	}
	token, tail, more := strings.Cut(subject, ".")
	for _, child := range [...]*node[T]{n.next["*"], n.next[token]} {
		if child != nil && (more && child.any(tail) || !more && child.set) {
			return true
		}
	}
	return false
}
