package wsproto

import (
	"bytes"
	"testing"
)

// naiveMask is RFC 6455 §5.3 to the letter: "transformed-octet-i = original-octet-i XOR masking-key-octet-j",
// j = i MOD 4.
func naiveMask(b []byte, key [4]byte, offset int) {
	for i := range b {
		b[i] ^= key[(offset+i)%4]
	}
}

func TestMask(t *testing.T) {
	keys := [][4]byte{{0, 0, 0, 0}, {1, 2, 3, 4}, {0xFF, 0, 0, 0}, {0, 0, 0, 0x80}, {0x37, 0xFA, 0x21, 0x3D}}
	room := make([]byte, 160)
	for _, key := range keys {
		for length := range 140 {
			for align := range 9 { // each position within a word
				for offset := range 5 {
					for i := range room {
						room[i] = byte(i * 7)
					}
					want := bytes.Clone(room)
					naiveMask(want[align:align+length], key, offset)
					Mask(room[align:align+length], key, offset)
					if !bytes.Equal(room, want) {
						t.Fatalf("key %x, length %d, align %d, offset %d:\n got %x\nwant %x", key, length, align, offset, room, want)
					}
				}
			}
		}
	}
}

func TestMaskInPieces(t *testing.T) {
	key := [4]byte{0x37, 0xFA, 0x21, 0x3D}
	want := bytes.Repeat([]byte("0123456789"), 10)
	naiveMask(want, key, 0)
	for cut := range 100 {
		got := bytes.Repeat([]byte("0123456789"), 10)
		Mask(got[:cut], key, 0)
		Mask(got[cut:], key, cut)
		if !bytes.Equal(got, want) {
			t.Fatalf("cut at %d by offset:\n got %x\nwant %x", cut, got, want)
		}
		got = bytes.Repeat([]byte("0123456789"), 10)
		Mask(got[:cut], key, 0)
		Mask(got[cut:], rotateKey(key, cut), 0)
		if !bytes.Equal(got, want) {
			t.Fatalf("cut at %d by a turned key:\n got %x\nwant %x", cut, got, want)
		}
	}
}
