package broadcast

// SlotChunk is the number of elements in a chunk of a [SlotTable].
const SlotChunk = 512

// A SlotTable is a table by slot that grows without moving its elements. Slots are dense: a new one is used only when no
// other is free. The zero value is an empty table.
type SlotTable[T any] struct {
	chunks []*[SlotChunk]T
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
}

// Len returns the number of slots that exist.
func (t *SlotTable[T]) Len() uint32 { return uint32(len(t.chunks)) * SlotChunk }
