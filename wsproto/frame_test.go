package wsproto

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

// boundaries are the lengths at which the header changes its form, and their neighbours.
var boundaries = []int64{0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537, math.MaxUint32, math.MaxInt64}

func headerLength(length int64, masked bool) int {
	n := 2
	if length > 65535 {
		n += 8
	} else if length > 125 {
		n += 2
	}
	if masked {
		n += 4
	}
	return n
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, length := range boundaries {
		for bits := range 1 << 5 {
			for op := range Opcode(16) {
				h := Header{Fin: bits&1 != 0, Masked: bits&2 != 0, RSV: uint8(bits >> 2), Op: op, Length: length}
				if h.Masked {
					h.Key = [4]byte{0x37, 0xFA, 0x21, 0x3D}
				}
				b := AppendHeader([]byte{0xEE}, h)[1:]
				if want := headerLength(length, h.Masked); len(b) != want {
					t.Fatalf("%+v: %d bytes, want %d", h, len(b), want)
				}
				for n := range b {
					if got, used, err := ParseHeader(b[:n]); got != (Header{}) || used != 0 || err != nil {
						t.Fatalf("%+v: the first %d bytes gave %+v, %d, %v", h, n, got, used, err)
					}
				}
				got, n, err := ParseHeader(append(b, 0xEE, 0xEE))
				if got != h || n != len(b) || err != nil {
					t.Fatalf("%x: %+v, %d, %v, want %+v", b, got, n, err, h)
				}
			}
		}
	}
}

func TestParseHeaderBits(t *testing.T) {
	for _, row := range []struct {
		in   []byte
		want Header
	}{
		{[]byte{0x81, 0x00}, Header{Fin: true, Op: OpText}},
		{[]byte{0x02, 0x05}, Header{Op: OpBinary, Length: 5}},
		{[]byte{0x40, 0x00}, Header{RSV: 4}},
		{[]byte{0x20, 0x00}, Header{RSV: 2}},
		{[]byte{0x10, 0x00}, Header{RSV: 1}},
		{[]byte{0x8F, 0x7D}, Header{Fin: true, Op: 15, Length: 125}},
		{[]byte{0x82, 0x7E, 0x01, 0x00}, Header{Fin: true, Op: OpBinary, Length: 256}},
		{[]byte{0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}, Header{Fin: true, Op: OpBinary, Length: 65536}},
		{[]byte{0x89, 0x81, 1, 2, 3, 4}, Header{Fin: true, Op: OpPing, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 1}},
	} {
		if got, n, err := ParseHeader(row.in); got != row.want || n != len(row.in) || err != nil {
			t.Errorf("% x: %+v, %d, %v, want %+v", row.in, got, n, err, row.want)
		}
	}
}

// Every 16-bit length, and 64-bit lengths around each power of two.
func TestParseHeaderLengths(t *testing.T) {
	for length := range 1 << 16 {
		in := []byte{0x82, 0x7E, byte(length >> 8), byte(length)}
		h, n, err := ParseHeader(in)
		if length < 126 {
			if !errors.Is(err, ErrNonMinimalLength) || n != 0 {
				t.Fatalf("%d in 16 bits: %+v, %d, %v", length, h, n, err)
			}
		} else if h.Length != int64(length) || n != 4 || err != nil {
			t.Fatalf("%d in 16 bits: %+v, %d, %v", length, h, n, err)
		}
	}
	for shift := range 64 {
		for delta := range uint64(3) {
			length := uint64(1)<<shift + delta - 1
			in := []byte{0x82, 0xFF}
			for i := 56; i >= 0; i -= 8 {
				in = append(in, byte(length>>i))
			}
			_, n, err := ParseHeader(in) // an error comes without the key
			switch {
			case length < 1<<16:
				if !errors.Is(err, ErrNonMinimalLength) {
					t.Errorf("%d in 64 bits: error %v", length, err)
				}
			case length > math.MaxInt64:
				if !errors.Is(err, ErrLengthOverflow) {
					t.Errorf("%d in 64 bits: error %v", length, err)
				}
			case n != 0 || err != nil:
				t.Errorf("%d in 64 bits without a key: %d, %v", length, n, err)
			default:
				h, n, err := ParseHeader(append(in, 0, 0, 0, 0))
				if h.Length != int64(length) || n != 14 || err != nil {
					t.Errorf("%d in 64 bits: %+v, %d, %v", length, h, n, err)
				}
			}
		}
	}
}

func TestAppendHeaderCuts(t *testing.T) {
	got := AppendHeader(nil, Header{RSV: 0xFF, Op: 0xFF, Length: -1})
	if want := []byte{0x7F, 0x00}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

// A frame that one side appends is the message that the other side decodes.
func TestAppendFrame(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), length)
		cfg := Config{MaxMessage: 1 << 20}
		for _, op := range []Opcode{OpText, OpBinary, OpPing, OpPong} {
			if op.Control() && length > 125 {
				continue
			}
			t.Run(fmt.Sprint(op, " ", length), func(t *testing.T) {
				frame := AppendFrame([]byte("dst"), op, payload)
				if want := 3 + headerLength(int64(length), false) + length; len(frame) != want || string(frame[:3]) != "dst" {
					t.Fatalf("server's frame: %d bytes, want %d", len(frame), want)
				}
				var d Decoder
				m, n, err := d.Next(&Config{MaxMessage: 1 << 20, Client: true}, frame[3:])
				if m.Op != op || !bytes.Equal(m.Payload, payload) || n != len(frame)-3 || err != nil {
					t.Fatalf("server's frame: %v, %d, %v", m.Op, n, err)
				}

				key := [4]byte{0x37, 0xFA, 0x21, 0x3D}
				frame = AppendMaskedFrame([]byte("dst"), op, key, payload)
				if want := 3 + headerLength(int64(length), true) + length; len(frame) != want || string(frame[:3]) != "dst" {
					t.Fatalf("client's frame: %d bytes, want %d", len(frame), want)
				}
				if length > 0 && bytes.Contains(frame, payload) || !bytes.Equal(payload, bytes.Repeat([]byte("x"), length)) {
					t.Fatal("client's frame: not masked, or the payload was")
				}
				m, n, err = d.Next(&cfg, frame[3:])
				if m.Op != op || !bytes.Equal(m.Payload, payload) || n != len(frame)-3 || err != nil {
					t.Fatalf("client's frame: %v, %d, %v", m.Op, n, err)
				}
			})
		}
	}
}
