package broadcast

import (
	"testing"

	"tickcast/broadcast/wire"
)

// The places that a table gave back are free for readers, and come into use again each on its own.
func TestSlotTableDrops(t *testing.T) {
	var table SlotTable[int]
	table.Grow(4*SlotChunk - 1)
	*table.At(SlotChunk) = 7
	table.Drop(SlotChunk + 1)
	table.Drop(SlotChunk + 1)
	if table.Len() != 4*SlotChunk || *table.At(SlotChunk) != 7 || *table.At(3 * SlotChunk) != 0 {
		t.Errorf("%d places, %d, %d", table.Len(), *table.At(SlotChunk), *table.At(3 * SlotChunk))
	}
	if table.At(2*SlotChunk) != table.At(3*SlotChunk) {
		t.Error("the memory was not given back")
	}
	table.Grow(2 * SlotChunk)
	*table.At(2 * SlotChunk) = 8
	if *table.At(3 * SlotChunk) != 0 {
		t.Error("a free place is written to")
	}
}

// A shard whose last clients have left gives their places back: news of slots that have gone do no harm, and new clients have them anew.
func TestShardDropsPlaces(t *testing.T) {
	h, s, out := costShard(t)
	const clients = 3 * SlotChunk
	for slot := range uint32(clients) {
		s.Join(slot, wire.CodecJSON, 0)
		s.Subscribe(slot, []string{"px.A"}, "", "")
	}
	for slot := uint32(1); slot < clients; slot++ {
		s.Leave(slot)
	}
	s.Drop(SlotChunk)
	s.Leave(clients - 1)
	if !s.Writable(clients-1) || s.Subscribed(clients-1) {
		t.Error("a client that has left is there")
	}
	s.Join(clients-1, wire.CodecJSON, 0)
	s.Subscribe(clients-1, []string{"px.A"}, "", "")
	drainAll(s)
	out.takeShort(t, 0)
	out.takeShort(t, clients-1)
	h.Publish("px.A", []byte("1"))
	drainAll(s)
	for _, slot := range []uint32{0, clients - 1} {
		if got := out.takeShort(t, slot); len(got) != 1 {
			t.Errorf("slot %d got %q", slot, got)
		}
	}
	checkShards(t, h)
}
