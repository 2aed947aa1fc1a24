package broadcast

// A dirtMark says how the newest message of a topic is owed.
type dirtMark uint8

const (
	dirtUpdate dirtMark = iota // as an update
	dirtSnap                   // as a snapshot: the subscription is new
	dirtState                  // not at all, but whether the topic is stale
)

// Bits of an element of dirtySet.list below the topic's id.
const (
	bitUpdate = 1 << iota
	bitSnap
	bitState
	dirtyBits = 3
	dirtyMask = 1<<dirtyBits - 1
)

// maxTopicID is the largest id that a dirtySet can hold.
const maxTopicID = 1<<(32-dirtyBits) - 1

// A dirtySet is a queue of topics, each at most once: some ten bytes a topic.
type dirtySet struct {
	list  []uint32 // topic id and bits, in the order of their marks
	head  uint32   // index of the first that is still owed
	table []uint32 // index+1 into list by a hash of the id, open addressing; nil while the list is short
}

// dirtyScan is how long a list may be to be searched from end to end.
const dirtyScan = 8

func (d *dirtySet) len() int { return len(d.list) - int(d.head) }

// mark notes that something of a topic is owed. It reports whether that replaces an update that was owed before.
func (d *dirtySet) mark(id uint32, how dirtMark) (replaced bool) {
	bit := uint32(1) << how
	if at, ok := d.find(id); ok {
		had := d.list[at] & (bitUpdate | bitSnap)
		switch {
		case how == dirtState || had == 0:
			d.list[at] |= bit
			return false
		case how == dirtSnap: // the update that is owed will be as new
			return false
		default:
			return true
		}
	}
	d.list = append(d.list, id<<dirtyBits|bit)
	switch {
	case d.table == nil && d.len() > dirtyScan, d.table != nil && 4*len(d.list) > 3*len(d.table):
		d.rebuild()
	case d.table != nil:
		d.put(uint32(len(d.list)))
	}
	return false
}

// owed reports whether the newest message of a topic is owed.
func (d *dirtySet) owed(id uint32) bool {
	at, ok := d.find(id)
	return ok && d.list[at]&(bitUpdate|bitSnap) != 0
}

// at returns the i-th of those that are owed.
func (d *dirtySet) at(i int) (id uint32, bits uint32) {
	v := d.list[int(d.head)+i]
	return v >> dirtyBits, v & dirtyMask
}

// told notes that of the i-th the newest message is not owed any more; whether it is stale still is, if it was.
func (d *dirtySet) told(i int) {
	if at := int(d.head) + i; d.list[at]&bitState != 0 {
		d.list[at] &^= bitUpdate | bitSnap
	}
}

// pop takes the first n out.
func (d *dirtySet) pop(n int) {
	d.head += uint32(n)
	switch {
	case d.len() == 0:
		d.list, d.head, d.table = d.list[:0], 0, nil
	case int(d.head) > 3*len(d.list)/4 && (d.table != nil || d.head > 4*dirtyScan):
		d.rebuild()
	}
}

// keep takes out those for which f says no.
func (d *dirtySet) keep(f func(id uint32) bool) {
	kept := d.list[:0]
	for _, v := range d.list[d.head:] {
		if f(v >> dirtyBits) {
			kept = append(kept, v)
		}
	}
	d.list, d.head = kept, 0
	d.rebuild()
}

func dirtyHash(id uint32, size int) int { return int(id*0x9E3779B1>>7) & (size - 1) }

// find returns the index of a topic in list.
func (d *dirtySet) find(id uint32) (at int, ok bool) {
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

// put enters element n-1 of list into the table.
func (d *dirtySet) put(n uint32) {
	h := dirtyHash(d.list[n-1]>>dirtyBits, len(d.table))
	for d.table[h] != 0 {
		h = (h + 1) & (len(d.table) - 1)
	}
	d.table[h] = n
}

// rebuild drops what has been taken out from list and table.
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
		d.put(uint32(i + 1))
	}
}
