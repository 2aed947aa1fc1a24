package wsproto

// The states of the UTF-8 automaton (RFC 3629 §4). A state says which bytes may follow. Its value is the bit position of its
// successor in a row of utf8Rows. utf8Bad is 0: a byte that a row does not allow leads to it, and no byte leads out of it.
const (
	utf8Bad   = 0
	utf8Start = 6  // the first byte of a character; text may end here
	utf8Tail1 = 12 // one more byte 80..BF
	utf8Tail2 = 18 // two more
	utf8Tail3 = 24 // three more
	utf8E0    = 30 // after E0: A0..BF, then one more. Lower bytes are overlong
	utf8ED    = 36 // after ED: 80..9F, then one more. Higher bytes are a surrogate
	utf8F0    = 42 // after F0: 90..BF, then two more. Lower bytes are overlong
	utf8F4    = 48 // after F4: 80..8F, then two more. Higher bytes are above U+10FFFF

	utf8Mask = 63
)

// One row for each kind of byte: the next state for each state.
const (
	as uint64 = utf8Start << utf8Start // 00..7F
	xx uint64 = 0                      // C0, C1, F5..FF: never valid
	l2 uint64 = utf8Tail1 << utf8Start // C2..DF
	e0 uint64 = utf8E0 << utf8Start
	l3 uint64 = utf8Tail2 << utf8Start // E1..EC, EE, EF
	ed uint64 = utf8ED << utf8Start
	f0 uint64 = utf8F0 << utf8Start
	l4 uint64 = utf8Tail3 << utf8Start // F1..F3
	f4 uint64 = utf8F4 << utf8Start

	tt uint64 = utf8Start<<utf8Tail1 | utf8Tail1<<utf8Tail2 | utf8Tail2<<utf8Tail3
	t8 uint64 = tt | utf8Tail1<<utf8ED | utf8Tail2<<utf8F4 // 80..8F
	t9 uint64 = tt | utf8Tail1<<utf8ED | utf8Tail2<<utf8F0 // 90..9F
	ta uint64 = tt | utf8Tail1<<utf8E0 | utf8Tail2<<utf8F0 // A0..BF
)

var utf8Rows = [256]uint64{
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 0
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 1
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 2
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 3
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 4
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 5
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 6
	as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, as, // 7
	t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, t8, // 8
	t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, t9, // 9
	ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, // A
	ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, ta, // B
	xx, xx, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, // C
	l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, l2, // D
	e0, l3, l3, l3, l3, l3, l3, l3, l3, l3, l3, l3, l3, ed, l3, l3, // E
	f0, l4, l4, l4, f4, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, // F
}

// validUTF8 reports whether p is complete UTF-8 text.
func validUTF8(p []byte) bool { return stepUTF8(utf8Start, p) == utf8Start }

// stepUTF8 runs the automaton over p from state and returns the state at the end of p: utf8Bad if p holds a byte that
// cannot continue the text, utf8Start if p ends with a complete character, any other state inside a character.
func stepUTF8(state uint8, p []byte) uint8 {
	s := uint64(state)
	for len(p) >= 8 {
		if s == utf8Start {
			for len(p) >= 64 {
				w := p[:64:64]
				if (word8(w)|word8(w[8:])|word8(w[16:])|word8(w[24:]))&tops != 0 {
					break
				}
				if (word8(w[32:])|word8(w[40:])|word8(w[48:])|word8(w[56:]))&tops != 0 {
					p = p[32:]
					break
				}
				p = p[64:]
			}
			for len(p) >= 8 && word8(p)&tops == 0 {
				p = p[8:]
			}
			if len(p) < 8 {
				break
			}
		}
		// The row does not depend on the state, so its load runs ahead. Only one shift per byte waits for the state.
		w := p[:8:8]
		s = utf8Rows[w[0]] >> (s & utf8Mask)
		s = utf8Rows[w[1]] >> (s & utf8Mask)
		s = utf8Rows[w[2]] >> (s & utf8Mask)
		s = utf8Rows[w[3]] >> (s & utf8Mask)
		s = utf8Rows[w[4]] >> (s & utf8Mask)
		s = utf8Rows[w[5]] >> (s & utf8Mask)
		s = utf8Rows[w[6]] >> (s & utf8Mask)
		s = utf8Rows[w[7]] >> (s & utf8Mask) & utf8Mask
		if s == utf8Bad {
			return utf8Bad
		}
		p = p[8:]
	}
	for _, c := range p {
		s = utf8Rows[c] >> (s & utf8Mask)
	}
	return uint8(s & utf8Mask)
}
