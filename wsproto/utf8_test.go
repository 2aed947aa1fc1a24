package wsproto

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// utf8Oracle returns the expected result of stepUTF8 by the standard library: whether p is complete text, and whether it is
// the beginning of some text.
func utf8Oracle(p []byte) (whole, prefix bool) {
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			return false, true
		}
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			return false, false
		}
		p = p[n:]
	}
	return true, true
}

func checkUTF8(t *testing.T, p []byte) {
	whole, prefix := utf8Oracle(p)
	s := stepUTF8(utf8Start, p)
	if (s == utf8Start) != whole || (s != utf8Bad) != prefix {
		t.Fatalf("% x: state %d, want whole %v, prefix %v", p, s, whole, prefix)
	}
}

// All sequences of one and two bytes, and the critical ones of three and four.
func TestUTF8Exhaustive(t *testing.T) {
	edges := []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF}
	checkUTF8(t, nil)
	for a := range 256 {
		checkUTF8(t, []byte{byte(a)})
		for b := range 256 {
			checkUTF8(t, []byte{byte(a), byte(b)})
			if a < 0xE0 {
				continue
			}
			for _, c := range edges {
				checkUTF8(t, []byte{byte(a), byte(b), c})
				for _, d := range edges {
					checkUTF8(t, []byte{byte(a), byte(b), c, d})
				}
			}
		}
	}
}

// Every code point, also next to the eight-byte steps.
func TestUTF8CodePoints(t *testing.T) {
	var buf [16]byte
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		p := utf8.AppendRune(buf[:0], r)
		if !validUTF8(p) {
			t.Fatalf("%U is not valid", r)
		}
		if p = append(append(buf[:0], "1234567"...), string(r)...); !validUTF8(p) || validUTF8(p[:len(p)-1]) != (r < utf8.RuneSelf) {
			t.Fatalf("%U at offset 7", r)
		}
	}
}

// badUTF8 has texts with the number of bytes that show the fault, 0 for a text that ends too early.
var badUTF8 = []struct {
	name string
	s    string
	at   int
}{
	{"lone continuation", "\x80", 1},
	{"last continuation", "\xbf", 1},
	{"overlong 2, NUL", "\xc0\x80", 1},
	{"overlong 2, 7F", "\xc1\xbf", 1},
	{"overlong 3", "\xe0\x80\xaf", 2},
	{"overlong 3, last", "\xe0\x9f\xbf", 2},
	{"overlong 4", "\xf0\x80\x80\xaf", 2},
	{"overlong 4, last", "\xf0\x8f\xbf\xbf", 2},
	{"five bytes", "\xf8\x88\x80\x80\x80", 1},
	{"six bytes", "\xfc\x84\x80\x80\x80\x80", 1},
	{"FE", "\xfe", 1},
	{"FF", "\xff", 1},
	{"first surrogate U+D800", "\xed\xa0\x80", 2},
	{"last high surrogate U+DBFF", "\xed\xaf\xbf", 2},
	{"last surrogate U+DFFF", "\xed\xbf\xbf", 2},
	{"surrogate pair", "\xed\xa0\x80\xed\xb0\x80", 2},
	{"U+110000", "\xf4\x90\x80\x80", 2},
	{"U+13FFFF", "\xf4\xbf\xbf\xbf", 2},
	{"F5", "\xf5\x80\x80\x80", 1},
	{"second byte missing", "\xc3(", 2},
	{"third byte missing", "\xe2\x82(", 3},
	{"fourth byte missing", "\xf0\x9f\x98(", 4},
	{"second byte a start", "\xc3\xc3", 2},
	{"cut after 1 of 2", "\xc3", 0},
	{"cut after 1 of 3", "\xe2", 0},
	{"cut after 2 of 3", "\xe2\x82", 0},
	{"cut after 1 of 4", "\xf0", 0},
	{"cut after 2 of 4", "\xf0\x9f", 0},
	{"cut after 3 of 4", "\xf0\x9f\x98", 0},
}

// A fault is found at its first byte, in any position and with any cut of the frame. A text that ends too early is found at
// its end, not before.
func TestUTF8FailFast(t *testing.T) {
	for _, row := range badUTF8 {
		t.Run(row.name, func(t *testing.T) {
			for _, before := range []string{"", "a", "1234567", "12345678", "ü", "123456€", strings.Repeat("x", 39), strings.Repeat("€", 20)} {
				after := "the frame goes on"
				if row.at == 0 {
					after = ""
				}
				text := before + row.s + after
				bad := len(before) + row.at
				if row.at == 0 {
					bad = len(text)
				}
				frame := AppendMaskedFrame(nil, OpText, [4]byte{0x11, 0x22, 0x33, 0x44}, []byte(text))
				head := len(frame) - len(text)

				if _, _, err := decode(nil, frame); !errors.Is(err, ErrInvalidUTF8) {
					t.Fatalf("%q whole: error %v", text, err)
				}
				for cut := range len(frame) {
					if _, _, err := decode(nil, frame[:cut], frame[cut:]); !errors.Is(err, ErrInvalidUTF8) {
						t.Fatalf("%q cut at %d: error %v", text, cut, err)
					}
					_, _, err := decode(nil, frame[:cut])
					if want := cut >= head+bad; (err != nil) != want {
						t.Fatalf("%q: error %v after %d bytes of payload, want it with byte %d", text, err, cut-head, bad)
					}
				}

				// Two fragments, split at each position.
				for cut := range len(text) + 1 {
					in := AppendHeader(nil, Header{Op: OpText, Masked: true, Length: int64(cut)})
					in = append(in, text[:cut]...)
					in = AppendHeader(in, Header{Fin: true, Masked: true, Length: int64(len(text) - cut)})
					in = append(in, text[cut:]...)
					if _, _, err := decode(nil, in); !errors.Is(err, ErrInvalidUTF8) {
						t.Fatalf("%q in fragments of %d and %d: error %v", text, cut, len(text)-cut, err)
					}
				}
			}
		})
	}
}

func TestUTF8SplitAnywhere(t *testing.T) {
	text := "$¢€😀, κόσμε, \u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff and plain ASCII for a while, then ü"
	want := fmt.Sprintf("text %q", text)
	for a := range len(text) + 1 {
		if s := stepUTF8(stepUTF8(utf8Start, []byte(text[:a])), []byte(text[a:])); s != utf8Start {
			t.Fatalf("cut at %d: state %d", a, s)
		}
		in := AppendHeader(nil, Header{Op: OpText, Masked: true, Length: int64(a)})
		in = append(in, text[:a]...)
		in = AppendHeader(in, Header{Fin: true, Masked: true, Length: int64(len(text) - a)})
		in = append(in, text[a:]...)
		got, _, err := decode(nil, in)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Fatalf("fragments of %d and %d: %q, %v", a, len(text)-a, got, err)
		}
	}
}
