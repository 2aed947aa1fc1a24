package broadcast

// A joiner puts frames one behind the other. A single one is not copied.
type joiner struct {
	n    int
	one  []byte // of n == 1
	many []byte // scratch
}

func (j *joiner) reset() {
	const keep = 256 << 10 // bytes of scratch space that large messages may leave behind
	if cap(j.many) > keep {
		j.many = nil
	}
	j.n, j.one, j.many = 0, nil, j.many[:0]
}

// add appends a frame, unless it is nil.
func (j *joiner) add(frame []byte) {
	switch {
	case frame == nil:
		return
	case j.n == 0:
		j.one = frame
	case j.n == 1:
		j.many = append(append(j.many, j.one...), frame...)
	default:
		j.many = append(j.many, frame...)
	}
	j.n++
}

func (j *joiner) bytes() []byte {
	if j.n == 1 {
		return j.one
	}
	return j.many
}

func (j *joiner) len() int { return len(j.bytes()) }

// A ring is a queue of slots.
type ring struct {
	slots []uint32 // a power of two of them
	head  uint64   // popped so far
	tail  uint64   // pushed so far
}

func (r *ring) empty() bool { return r.head == r.tail }

// trim gives the memory of a large ring back, which is empty.
func (r *ring) trim() {
	if len(r.slots) > 1<<16 {
		r.slots = nil
	}
}

func (r *ring) push(slot uint32) {
	if int(r.tail-r.head) == len(r.slots) {
		grown := make([]uint32, max(64, 2*len(r.slots)))
		for i := r.head; i < r.tail; i++ {
			grown[i&uint64(len(grown)-1)] = r.slots[i&uint64(len(r.slots)-1)]
		}
		r.slots = grown
	}
	r.slots[r.tail&uint64(len(r.slots)-1)] = slot
	r.tail++
}

func (r *ring) pop() uint32 {
	slot := r.slots[r.head&uint64(len(r.slots)-1)]
	r.head++
	return slot
}
