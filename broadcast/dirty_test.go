package broadcast

import "testing"

// A client that is never quite up to date does not let its set of marks grow.
func TestDirtySetOfAFewStaysSmall(t *testing.T) {
	var d dirtySet
	for i := range uint32(10_000) {
		d.mark(i%5, dirtyUpdate)
		if d.len() > 3 {
			d.removeFirst(2)
		}
	}
	if len(d.list) > 100 {
		t.Errorf("the list of %d marks has %d places", d.len(), len(d.list))
	}
}
