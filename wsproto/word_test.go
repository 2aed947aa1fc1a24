package wsproto

import (
	"bytes"
	"strings"
	"testing"
)

// A scan of eight bytes at a time gives the same result as a loop over single bytes.
func TestValueLen(t *testing.T) {
	for c := range 256 {
		for length := range 20 {
			for at := range length {
				b := bytes.Repeat([]byte{'x'}, length)
				b[at] = byte(c)
				want := length
				if c < ' ' && c != '\t' || c == 0x7F {
					want = at
				}
				if got := valueLen(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
				for i := range b { // neighbours that cause borrows and carries
					if i != at {
						b[i] = [...]byte{0x80, 0xFF, ' ', '\t', 0x7E, '!'}[i%6]
					}
				}
				if got := valueLen(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}

// The search of eight bytes at a time agrees with bytes.IndexByte, with neighbours that differ in one bit too.
func TestIndexColon(t *testing.T) {
	for length := range 20 {
		for at := range length + 1 {
			for _, other := range []byte{'x', ';', ':' + 0x80, 0x00, 0xFF, '9'} {
				b := bytes.Repeat([]byte{other}, length)
				if at < length {
					b[at] = ':'
				}
				for _, again := range []int{at, length - 1} { // a second one after the first
					if again > at {
						b[again] = ':'
					}
					want := bytes.IndexByte(b, ':')
					if want < 0 {
						want = length
					}
					if got := indexColon(b); got != want {
						t.Fatalf("%q: %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

// Names are compared by words. One wrong byte in any position is found, and case makes no difference.
func TestFold(t *testing.T) {
	for _, lower := range []string{
		"host", "close", "accept", "upgrade", "if-match", "websocket", "connection", "accept-encoding", "sec-websocket-key",
		"sec-websocket-version", "sec-websocket-extensions",
	} {
		for at := range len(lower) {
			for c := range 256 {
				b := []byte(lower)
				b[at] = byte(c)
				if got, want := equalFold(b, lower), bytes.Equal(bytes.ToLower(b), []byte(lower)) && c < 0x80; got != want {
					t.Fatalf("%q and %q: %v, want %v", b, lower, got, want)
				}
			}
		}
		if b := []byte(strings.ToUpper(lower)); !equalFold(b, lower) || equalFold(b[1:], lower) || equalFold(append(b, 'x'), lower) {
			t.Errorf("%q", b)
		}
	}
}
