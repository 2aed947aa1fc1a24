package wsproto

import "errors"

var errReference = errors.New("malformed")

// referenceInflate is RFC 1951 word for word and bit by bit. Other than the libraries, it reports the reach of references:
// it returns the content of one stream, up to its final block, and its longest distance.
func referenceInflate(in, history []byte) (out []byte, far int, err error) {
	b := &bitReader{in: in}
	window := len(history)
	out = append(out, history...)
	for final := false; !final; {
		final = b.bits(1) == 1
		switch b.bits(2) {
		case 0:
			b.pos = (b.pos + 7) &^ 7
			n, not := b.bits(16), b.bits(16)
			if n^not != 0xffff {
				return nil, 0, errReference
			}
			for range n {
				out = append(out, byte(b.bits(8)))
			}
		case 1:
			var lengths [288]int
			for i := range lengths {
				lengths[i] = 8
				switch {
				case i >= 144 && i < 256:
					lengths[i] = 9
				case i >= 256 && i < 280:
					lengths[i] = 7
				}
			}
			var distances [30]int
			for i := range distances {
				distances[i] = 5
			}
			out, far = b.codes(out, far, lengths[:], distances[:])
		case 2:
			lengths, n := b.lengths()
			out, far = b.codes(out, far, lengths[:n], lengths[n:])
		default:
			return nil, 0, errReference
		}
		if b.bad || far > len(out) {
			return nil, 0, errReference
		}
	}
	return out[window:], far, nil
}

type bitReader struct {
	in  []byte
	pos int // in bits
	bad bool
}

func (b *bitReader) bits(n int) (v int) {
	for i := range n {
		if b.pos/8 >= len(b.in) {
			b.bad = true
			return 0
		}
		v |= int(b.in[b.pos/8]>>(b.pos%8)&1) << i
		b.pos++
	}
	return v
}

// symbol reads one code of the canonical Huffman code with these lengths, section 3.2.2.
func (b *bitReader) symbol(lengths []int) int {
	code, first := 0, 0
	for n := 1; n <= 15 && !b.bad; n++ {
		code = code<<1 | b.bits(1)
		first <<= 1
		for s, l := range lengths {
			if l == n {
				if code == first {
					return s
				}
				first++
			}
		}
	}
	b.bad = true
	return 0
}

// lengths reads the code lengths of a block with dynamic codes, section 3.2.7.
func (b *bitReader) lengths() (all []int, literals int) {
	literals = b.bits(5) + 257
	total := literals + b.bits(5) + 1
	count := b.bits(4) + 4
	var meta [19]int
	for _, s := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:count] {
		meta[s] = b.bits(3)
	}
	for len(all) < total && !b.bad {
		switch s := b.symbol(meta[:]); {
		case s < 16:
			all = append(all, s)
		case s == 16 && len(all) > 0:
			last := all[len(all)-1]
			for range 3 + b.bits(2) {
				all = append(all, last)
			}
		case s == 17:
			all = append(all, make([]int, 3+b.bits(3))...)
		case s == 18:
			all = append(all, make([]int, 11+b.bits(7))...)
		default:
			b.bad = true
		}
	}
	b.bad = b.bad || len(all) != total
	return all, min(literals, len(all))
}

// codes reads a block's literals and references up to its end.
func (b *bitReader) codes(out []byte, far int, lengths, distances []int) ([]byte, int) {
	for !b.bad {
		s := b.symbol(lengths)
		switch {
		case s < 256:
			out = append(out, byte(s))
			continue
		case s == 256:
			return out, far
		}
		n := 258
		if s -= 257; s < 8 {
			n = s + 3
		} else if s < 28 {
			extra := s/4 - 1
			n = 3 + (4+s%4)<<extra + b.bits(extra)
		}
		d := b.symbol(distances)
		distance := d + 1
		if d >= 4 {
			extra := d/2 - 1
			distance = 1 + (2+d%2)<<extra + b.bits(extra)
		}
		if far = max(far, distance); distance > len(out) {
			b.bad = true
		}
		for range n {
			if b.bad {
				break
			}
			out = append(out, out[len(out)-distance])
		}
	}
	return out, far
}
