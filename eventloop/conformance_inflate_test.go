package eventloop_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// An inflater decompresses the messages of one direction, RFC 1951 and RFC 7692 section 7.2.2. It records the distance of the
// sender's references, which a library does not tell. It is written for that, not for speed.
type inflater struct {
	out      []byte // of all messages to which the sender may refer, and of the present one
	farthest int    // distance of all references so far
	in       []byte
	at       int // bits of in that were read
}

var errDeflate = errors.New("not deflate data")

// message decompresses one message. Without takeover it has no references to earlier ones.
func (f *inflater) message(compressed string, takeover bool) (string, error) {
	if !takeover {
		f.out = nil
	}
	f.out = f.out[max(0, len(f.out)-1<<15):]
	start := len(f.out)
	f.in, f.at = []byte(compressed+"\x00\x00\xff\xff"), 0
	for f.at < 8*len(f.in) {
		final := f.take(1)
		var err error
		switch f.take(2) {
		case 0:
			err = f.stored()
		case 1:
			err = f.block(fixedLiterals, fixedDistances)
		case 2:
			var literals, distances []symbol
			if literals, distances, err = f.codes(); err == nil {
				err = f.block(literals, distances)
			}
		default:
			err = errDeflate
		}
		if err == nil && f.at > 8*len(f.in) {
			err = fmt.Errorf("%w: it ends inside of a block", errDeflate)
		}
		if err != nil {
			return "", err
		}
		if final == 1 {
			f.align()
		}
	}
	return string(f.out[start:]), nil
}

// peek returns the next n bits, at most 16, the first one lowest. After the end there are zeros.
func (f *inflater) peek(n int) int {
	v := 0
	for i := range 3 {
		if j := f.at/8 + i; j < len(f.in) {
			v |= int(f.in[j]) << (8 * i)
		}
	}
	return v >> (f.at % 8) & (1<<n - 1)
}

func (f *inflater) take(n int) int {
	v := f.peek(n)
	f.at += n
	return v
}

func (f *inflater) align() { f.at = (f.at + 7) &^ 7 }

func (f *inflater) stored() error {
	f.align()
	n, not := f.take(16), f.take(16)
	start := f.at / 8
	if n != not^0xffff || start+n > len(f.in) {
		return fmt.Errorf("%w: stored block of %d bytes", errDeflate, n)
	}
	f.out = append(f.out, f.in[start:start+n]...)
	f.at += 8 * n
	return nil
}

// A symbol is an entry of a code's table, which is indexed by the next 15 bits.
type symbol struct {
	value uint16
	bits  uint8 // length of its code; 0 = there is no such code
}

// code returns the table of a code from the lengths of all symbols, RFC 1951 section 3.2.2.
func code(lengths []uint8) ([]symbol, error) {
	table := make([]symbol, 1<<15)
	next := 0 // the next code, as if all had 15 bits
	for length := uint8(1); length <= 15; length++ {
		for value, l := range lengths {
			if l != length {
				continue
			}
			if next >= 1<<15 {
				return nil, fmt.Errorf("%w: too many codes", errDeflate)
			}
			first := int(bits.Reverse16(uint16(next)) >> 1) // codes come with the highest bit first
			for i := first; i < 1<<15; i += 1 << length {
				table[i] = symbol{uint16(value), length}
			}
			next += 1 << (15 - length)
		}
	}
	return table, nil
}

func (f *inflater) symbol(table []symbol) (int, error) {
	s := table[f.peek(15)]
	if f.at += int(s.bits); s.bits == 0 || f.at > 8*len(f.in) {
		return 0, fmt.Errorf("%w: no such code", errDeflate)
	}
	return int(s.value), nil
}

// The codes of blocks without codes of their own, RFC 1951 section 3.2.6.
var fixedLiterals, fixedDistances = func() (l, d []symbol) {
	lengths := bytes.Repeat([]byte{8}, 288)
	copy(lengths[144:], bytes.Repeat([]byte{9}, 112))
	copy(lengths[256:], bytes.Repeat([]byte{7}, 24))
	l, _ = code(lengths)
	d, _ = code(bytes.Repeat([]byte{5}, 30))
	return l, d
}()

// codes reads the codes of a block with codes of its own, RFC 1951 section 3.2.7.
func (f *inflater) codes() (literals, distances []symbol, err error) {
	nl, nd, nc := 257+f.take(5), 1+f.take(5), 4+f.take(4)
	var order [19]uint8
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:nc] {
		order[i] = uint8(f.take(3))
	}
	table, err := code(order[:])
	var lengths []uint8
	for err == nil && len(lengths) < nl+nd {
		var s int
		if s, err = f.symbol(table); err != nil {
			break
		}
		value, times := uint8(s), 1
		switch s {
		case 16:
			if len(lengths) == 0 {
				return nil, nil, fmt.Errorf("%w: nothing to repeat", errDeflate)
			}
			value, times = lengths[len(lengths)-1], 3+f.take(2)
		case 17:
			value, times = 0, 3+f.take(3)
		case 18:
			value, times = 0, 11+f.take(7)
		}
		lengths = append(lengths, bytes.Repeat([]byte{value}, times)...)
	}
	if err == nil && len(lengths) != nl+nd {
		err = fmt.Errorf("%w: too many lengths", errDeflate)
	}
	if err != nil {
		return nil, nil, err
	}
	if literals, err = code(lengths[:nl]); err != nil {
		return nil, nil, err
	}
	distances, err = code(lengths[nl:])
	return literals, distances, err
}

// block reads the literals and references after the codes, RFC 1951 section 3.2.5.
func (f *inflater) block(literals, distances []symbol) error {
	for {
		s, err := f.symbol(literals)
		switch {
		case err != nil:
			return err
		case s < 256:
			f.out = append(f.out, byte(s))
			continue
		case s == 256:
			return nil
		case s > 285:
			return fmt.Errorf("%w: length %d", errDeflate, s)
		}
		length := 258
		if s < 285 {
			length = 3 + f.stepped(s-257, 4)
		}
		if s, err = f.symbol(distances); err != nil {
			return err
		}
		if s > 29 {
			return fmt.Errorf("%w: distance %d", errDeflate, s)
		}
		distance := 1 + f.stepped(s, 2)
		if distance > len(f.out) {
			return fmt.Errorf("%w: distance %d, there are %d bytes", errDeflate, distance, len(f.out))
		}
		f.farthest = max(f.farthest, distance)
		for range length {
			f.out = append(f.out, f.out[len(f.out)-distance])
		}
	}
}

// stepped reads the extra bits after the nth symbol for lengths or distances and returns the value from 0. Both rise in steps
// that double with each group of symbols, from the second group on.
func (f *inflater) stepped(n, group int) int {
	if n < 2*group {
		return n
	}
	extra := n/group - 1
	return (group+n%group)<<extra + f.take(extra)
}

// TestInflater holds the suite's inflater against the standard library's compressor.
func TestInflater(t *testing.T) {
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		var f inflater
		r := rand.New(rand.NewPCG(1, uint64(level+10)))
		for i := range 40 {
			b.Reset()
			message := sample(i%kinds, 1<<(i%17), r)
			_, _ = w.Write([]byte(message))
			_ = w.Flush()
			got, err := f.message(string(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))), true)
			if err != nil || got != message {
				t.Fatalf("level %d, message %d: %d bytes for %d, %v", level, i, len(got), len(message), err)
			}
		}
		if level > 0 && (f.farthest < 16<<10 || f.farthest > 32<<10) {
			t.Errorf("level %d: farthest reference %d", level, f.farthest)
		}
	}
}
