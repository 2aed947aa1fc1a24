package wsproto

import "math/bits"

const (
	ones = 0x0101010101010101 // a byte times ones is eight copies of it
	tops = 0x8080808080808080 // the top bit of each of eight bytes
)

// indexColon returns the index of the first colon in b, len(b) if there is none.
func indexColon(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := word8(b[i:]) ^ ':'*ones
		if marks := (x - ones) &^ x & tops; marks != 0 { // the lowest marks the first byte that is 0
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] == ':' {
			break
		}
	}
	return i
}

// valueLen counts the bytes at b's start that are allowed in a field's value: visible ASCII, space, tab, and 80..FF,
// which RFC 9110 §5.5 treats as opaque data.
func valueLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := word8(b[i:])
		if ((x-0x20*ones)|(x+ones))&tops == 0 { // all eight are visible ASCII or spaces
			continue
		}
		// Marks bytes below 20 and bytes 7F. The lowest mark is correct; a borrow may set wrong marks above it. Tabs are allowed.
		del := x ^ 0x7F*ones
		for marks := ((x-0x20*ones)&^x | (del-ones)&^del) & tops; marks != 0; marks &= marks - 1 {
			if k := i + bits.TrailingZeros64(marks)/8; !isValueByte(b[k]) {
				return k
			}
		}
	}
	for i < len(b) && isValueByte(b[i]) {
		i++
	}
	return i
}

func isValueByte(c byte) bool { return c >= ' ' && c != 0x7F || c == '\t' }

// equalFold reports whether b equals lower without regard to case. lower has at least four bytes, letters in lower case
// and hyphens.
func equalFold(b []byte, lower string) bool {
	n := len(lower)
	if len(b) != n {
		return false
	}
	if n < 8 {
		return equalFoldWord(uint64(word4(b)), uint64(word4(lower))) && equalFoldWord(uint64(word4(b[n-4:])), uint64(word4(lower[n-4:])))
	}
	for i := 0; i < n-8; i += 8 {
		if !equalFoldWord(word8(b[i:]), word8(lower[i:])) {
			return false
		}
	}
	return equalFoldWord(word8(b[n-8:]), word8(lower[n-8:]))
}

// equalFoldWord is equalFold for one word. Where lower has a letter, bit 5 may differ. Letters have bit 6, hyphens have not.
func equalFoldWord(x, lower uint64) bool { return (x^lower)&^(lower>>1&(0x20*ones)) == 0 }

// word8 returns the first eight bytes of s, little-endian.
func word8[S string | []byte](s S) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// word4 returns the first four bytes of s, little-endian.
func word4[S string | []byte](s S) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
