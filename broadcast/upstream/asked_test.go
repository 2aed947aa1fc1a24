package upstream

import (
	"fmt"
	"testing"
	"time"
)

// Fences in a row take the room of one, and the last of them is told. The lines before a PONG are not kept by those behind it.
func TestAskedLinesAreFew(t *testing.T) {
	const many = 10_000
	var a asked
	for n := range uint64(many) {
		a.note(verbUnsub, fmt.Append(nil, n))
	}
	for n := range uint64(many) {
		a.noteFence(n + 1)
	}
	if n := len(a.lines); n != many+1 {
		t.Errorf("%d lines for %d ends and their fences", n, many)
	}
	a.note(verbPing, nil)
	a.note(verbSub, []byte("a 1"))
	a.noteFence(many + 1)
	_, _, fence := a.pong(time.Now())
	if fence != many || len(a.lines) != 2 || cap(a.lines) > 16 {
		t.Errorf("fence %d was passed, and %d lines with room for %d are left", fence, len(a.lines), cap(a.lines))
	}
	a.note(verbPing, nil)
	if _, _, fence = a.pong(time.Now()); fence != many+1 || a.lines != nil {
		t.Errorf("fence %d was passed, and %d lines are left", fence, len(a.lines))
	}
}
