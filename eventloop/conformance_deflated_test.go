package eventloop_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

// compressedForms are forms of messages that some libraries never write and others do: see RFC 7692 section 7.2.3.
func (s *suite) compressedForms(t *testing.T) {
	squeezed := func(payload string) frame { return text(payload).reserving(compressed) }
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // "Hello" in a block with the fixed codes
	const final = "\xf3\x48\xcd\xc9\xc9\x07\x00" // the same as the last block of a stream
	for _, row := range []struct {
		name string
		send []frame
		want string
	}{
		{"one block", []frame{squeezed(hello)}, "Hello"},
		{"two fragments", inFragments(squeezed(hello), 3), "Hello"},
		{"a fragment for each byte", inFragments(squeezed(hello), 1), "Hello"},
		{"empty fragments around", []frame{squeezed("").begun(), rest(hello).begun(), rest("")}, "Hello"},
		{"two blocks", []frame{squeezed("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")}, "Hello"},
		{"stored block", []frame{squeezed("\x00\x05\x00\xfa\xffHello\x00")}, "Hello"},
		{"stored blocks", []frame{squeezed("\x00\x02\x00\xfd\xffHe\x00\x00\x00\xff\xff\x00\x03\x00\xfc\xffllo\x00")}, "Hello"},
		{"stored and other blocks", []frame{squeezed("\x00\x05\x00\xfa\xffHello" + hello)}, "HelloHello"},
		{"last block", []frame{squeezed(final + "\x00")}, "Hello"},
		{"last block that is stored", []frame{squeezed("\x01\x05\x00\xfa\xffHello\x00")}, "Hello"},
		{"last block, and more", []frame{squeezed(final + hello)}, "HelloHello"},
		{"two last blocks", []frame{squeezed(final + final + "\x00")}, "HelloHello"},
		{"last block that is empty, and more", []frame{squeezed("\x03\x00" + hello)}, "Hello"},
		{"empty", []frame{squeezed("\x00")}, ""},
		{"empty in a block with the fixed codes", []frame{squeezed("\x02\x00")}, ""},
		{"empty as the last block", []frame{squeezed("\x03\x00\x00")}, ""},
		{"empty in fragments", []frame{squeezed("").begun(), rest("\x00")}, ""},
		{"not compressed", []frame{text("Hello")}, "Hello"},
		{"not compressed, in fragments", []frame{text("Hel").begun(), rest("lo")}, "Hello"},
	} {
		for _, how := range []cut{atOnce, byFrame, bytewise} {
			s.run(t, row.name+", "+how.String(), func(t *testing.T) {
				k := s.open(t, pmd)
				for range 2 {
					k.write(how, row.send...)
					k.expect(row.want, opText)
				}
				k.write(how, squeezed(hello), squeezed("\xf2\x00\x11\x00\x00"), squeezed("\x00"), closing(1000, ""))
				k.expect("Hello", opText)
				k.expect("Hello", opText) // the second one is a reference to the first
				k.expect("", opText)
				k.expectClose(t, 1000)
			})
		}
	}
}

// stored is a message of stored blocks: not compressed, but later messages may refer to it.
func stored(message string) string {
	var b []byte
	for more := true; more; {
		n := min(len(message), 1<<16-1)
		b = binary.LittleEndian.AppendUint16(append(b, 0), uint16(n))
		b = binary.LittleEndian.AppendUint16(b, ^uint16(n))
		b = append(b, message[:n]...)
		message = message[n:]
		more = len(message) > 0
	}
	return string(append(b, 0))
}

// reference is a message of one reference: 258 bytes from so far back.
func reference(distance int) string {
	var v uint64
	used := 0
	put := func(value, n int) { v |= uint64(value) << used; used += n }
	code := func(value, n int) { put(int(bits.Reverse16(uint16(value))>>(16-n)), n) }
	symbol, extra := distance-1, 0
	if symbol >= 4 {
		extra = bits.Len(uint(symbol)) - 2
		symbol = 2*(extra+1) + symbol>>extra&1
	}
	put(0, 1)           // not the last block
	put(1, 2)           // the fixed codes
	code(0b11000101, 8) // 285, length 258
	code(symbol, 5)
	put((distance-1)&(1<<extra-1), extra)
	code(0, 7) // the end of the block
	put(0, 3)  // the beginning of an empty stored block
	return string(binary.LittleEndian.AppendUint64(nil, v)[:(used+7)/8])
}

// referred returns the text of reference after history.
func referred(history string, distance int) string {
	again := history[len(history)-distance:]
	return strings.Repeat(again, 258/distance+1)[:258]
}

// compressedWindows sends references as far back as the client's window allows: the server must remember exactly so many bytes,
// of compressed messages only.
func (s *suite) compressedWindows(t *testing.T) {
	for n := 8; n <= 15; n++ {
		line := fmt.Sprintf("%s; %s=%d", pmd, clientBits, n)
		s.run(t, line, func(t *testing.T) {
			k := s.open(t, line)
			window := 1 << k.clientBits
			r := rand.New(rand.NewPCG(3, uint64(n)))
			history := ""
			say := func(compressedAs, message string) {
				k.write(atOnce, data(compressedAs).reserving(compressed))
				k.expect(message, opBinary)
				history += message
			}
			sizes := []int{1, 100, 256, window - 1, window, window + 1, 1000, 3 * window, 1, 1}
			for i := range 40 {
				size := 1 + r.IntN(100)
				if i < len(sizes) {
					size = sizes[i]
				}
				random := sample(kindBytes, size, r)
				say(stored(random), random)
				plain := text("not compressed, so not remembered")
				k.write(atOnce, plain)
				k.expect(plain.payload, opText)
				for _, distance := range []int{1, 4, 5, window/2 + 1, window - 1, window} {
					if distance <= len(history) {
						say(reference(distance), referred(history, distance))
					}
				}
			}
			s.cases.Add(39)
		})
	}
	tooFar := []frame{closing(1007, "")}
	hello := text(stored("Hello")).reserving(compressed)
	for _, e := range []exchange{
		{"reference to nothing", []frame{text(reference(1)).reserving(compressed)}, tooFar},
		{"reference to before the first message", []frame{text(reference(32768)).reserving(compressed), text("late")}, tooFar},
	} {
		s.playOffering(t, []string{pmd}, e, atOnce, bytewise)
		s.playOffering(t, []string{pmd + "; " + clientNoMemory}, e, atOnce)
	}
	s.run(t, "reference to a message that is forgotten", func(t *testing.T) {
		k := s.open(t, pmd+"; "+clientNoMemory)
		if k.clientTakeover {
			t.Skip("the server did not agree to forget") // it need not
		}
		k.write(atOnce, hello, text(reference(1)).reserving(compressed), text("late"))
		k.expect("Hello", opText)
		k.expectClose(t, 1007)
	})
}
