package broadcast

// SlotChunk is the number of elements in a chunk of a [SlotTable].
const SlotChunk = 512

// A SlotTable is a table by slot that grows without moving its elements. Slots are dense: a new one is used only when no
// other is free. The zero value is an empty table.
type SlotTable[T any] struct {
	chunks []*[SlotChunk]T
	none   *[SlotChunk]T // stands for all chunks that were dropped, and is never written to; nil = there were none
}

// At returns the element in slot, which must exist; see Grow.
func (t *SlotTable[T]) At(slot uint32) *T {
	return &t.chunks[slot/SlotChunk][slot%SlotChunk]
}

// Grow makes slot exist.
func (t *SlotTable[T]) Grow(slot uint32) {
	for int(slot/SlotChunk) >= len(t.chunks) {
		t.chunks = append(t.chunks, new([SlotChunk]T))
	}
	if c := &t.chunks[slot/SlotChunk]; *c == t.none {
		*c = new([SlotChunk]T)
	}
}

// Drop gives the memory of the chunks from slot on back, of which all elements are zero. They stay readable, since a list may hold a slot
// that is free by now; Grow makes them writable again.
func (t *SlotTable[T]) Drop(slot uint32) {
	for i := int(slot+SlotChunk-1) / SlotChunk; i < len(t.chunks); i++ {
		if t.none == nil {
			t.none = t.chunks[i]
		}
		t.chunks[i] = t.none
	}
}

// Len returns the number of slots that exist.
func (t *SlotTable[T]) Len() uint32 { return uint32(len(t.chunks)) * SlotChunk }
