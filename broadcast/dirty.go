package broadcast

import "tickcast/broadcast/wire"

// dirtyFlags stand below the topic's id in an element of dirtySet.list. They name the frames that are owed.
type dirtyFlags uint32

const (
	dirtyUpdate   dirtyFlags = 1 << wire.FormUpdate   // the newest message
	dirtySnapshot dirtyFlags = 1 << wire.FormSnapshot // the newest message as a snapshot: the subscription is new
	dirtyState    dirtyFlags = 1 << wire.Forms        // stale or fresh

	dirtyNewest = dirtyUpdate | dirtySnapshot

	dirtyBits = wire.Forms + 1 // topics.MaxTopicID leaves room for them
	dirtyMask = 1<<dirtyBits - 1
)

// A dirtySet is a queue of topics, each at most once. It takes about ten bytes a topic.
type dirtySet struct {
	list  []uint32 // topic id and flags, in the order of their marks
	head  uint32   // index of the first that is still owed
	table []uint32 // index+1 into list by a hash of the id, open addressing; nil while the list is short
}

// dirtyScan is the longest list that is searched from end to end.
const dirtyScan = 8

func (d *dirtySet) len() int { return len(d.list) - int(d.head) }

// mark adds a debt of a topic. It reports whether that replaces an update that was owed before.
func (d *dirtySet) mark(id uint32, flag dirtyFlags) (replaced bool) {
	if i, ok := d.find(id); ok {
		newest := dirtyFlags(d.list[i]) & dirtyNewest
		switch {
		case flag == dirtyState || newest == 0:
			d.list[i] |= uint32(flag)
			return false
		case flag == dirtySnapshot: // the update that is owed will be as new
			return false
		default:
			return true
		}
	}
	d.list = append(d.list, id<<dirtyBits|uint32(flag))
	switch {
	case d.table == nil && d.len() > dirtyScan, d.table != nil && 4*len(d.list) > 3*len(d.table):
		d.rebuild()
	case d.table != nil:
		d.index(len(d.list) - 1)
	}
	return false
}

// owesNewest reports whether the newest message of a topic is owed.
func (d *dirtySet) owesNewest(id uint32) bool {
	i, ok := d.find(id)
	return ok && dirtyFlags(d.list[i])&dirtyNewest != 0
}

// topic returns the i-th topic that is owed.
func (d *dirtySet) topic(i int) (id uint32, flags dirtyFlags) {
	v := d.list[int(d.head)+i]
	return v >> dirtyBits, dirtyFlags(v & dirtyMask)
}

// clearNewest removes the debt of the newest message from the i-th topic, which still owes its state.
func (d *dirtySet) clearNewest(i int) {
	if i += int(d.head); dirtyFlags(d.list[i])&dirtyState != 0 {
		d.list[i] &^= uint32(dirtyNewest)
	}
}

// forgetNewest removes the debt of a topic's newest message, if there is one.
func (d *dirtySet) forgetNewest(id uint32) {
	if i, ok := d.find(id); ok {
		d.list[i] &^= uint32(dirtyNewest)
	}
}

// removeFirst removes the first n topics.
func (d *dirtySet) removeFirst(n int) {
	d.head += uint32(n)
	switch {
	case d.len() == 0:
		d.list, d.head, d.table = d.list[:0], 0, nil
	case int(d.head) > 3*len(d.list)/4 && (d.table != nil || d.head > 4*dirtyScan):
		d.rebuild()
	}
}

// retain removes all topics but those for which keep returns true.
func (d *dirtySet) retain(keep func(id uint32) bool) {
	kept := d.list[:0]
	for _, v := range d.list[d.head:] {
		if keep(v >> dirtyBits) {
			kept = append(kept, v)
		}
	}
	d.list, d.head = kept, 0
	d.rebuild()
}

func dirtyHash(id uint32, size int) int { return int(id*0x9E3779B1>>7) & (size - 1) }

// find returns the index of a topic in list.
func (d *dirtySet) find(id uint32) (i int, ok bool) {
	if d.table == nil {
		for i := int(d.head); i < len(d.list); i++ {
			if d.list[i]>>dirtyBits == id {
				return i, true
			}
		}
		return 0, false
	}
	for h := dirtyHash(id, len(d.table)); d.table[h] != 0; h = (h + 1) & (len(d.table) - 1) {
		if i := d.table[h] - 1; i >= d.head && d.list[i]>>dirtyBits == id {
			return int(i), true
		}
	}
	return 0, false
}

// index enters element i of list into the table.
func (d *dirtySet) index(i int) {
	h := dirtyHash(d.list[i]>>dirtyBits, len(d.table))
	for d.table[h] != 0 {
		h = (h + 1) & (len(d.table) - 1)
	}
	d.table[h] = uint32(i + 1)
}

// rebuild drops the removed elements from list and table.
func (d *dirtySet) rebuild() {
	if d.head > 0 {
		d.list = append(d.list[:0:0], d.list[d.head:]...)
		d.head = 0
	}
	d.table = nil
	if len(d.list) <= dirtyScan {
		return
	}
	size := 32
	for 3*size < 5*len(d.list) { // between three fifths and three tenths full
		size *= 2
	}
	d.table = make([]uint32, size)
	for i := range d.list {
		d.index(i)
	}
}
