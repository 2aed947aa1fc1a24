package eventloop_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// compressedWrongly breaks the rules of permessage-deflate: RSV1 stands on the first fragment of a data message only, and the
// compressed payload must be DEFLATE data and, as text, UTF-8.
func (s *suite) compressedWrongly(t *testing.T) {
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	squeezed := func(payload string) frame { return text(payload).reserving(compressed) }
	agreed := []string{pmd}
	failed := []frame{closing(1002, "")}
	for _, e := range []exchange{
		{"RSV1 of a ping", []frame{ping(hello).reserving(compressed), text("late")}, failed},
		{"RSV1 of a pong", []frame{pong("").reserving(compressed)}, failed},
		{"RSV1 of a close frame", []frame{closing(1000, "").reserving(compressed)}, failed},
		{"RSV1 of a ping inside of a message", []frame{squeezed(hello).begun(), ping("").reserving(compressed), rest("")}, failed},
		{"RSV1 of a continuation of nothing", []frame{rest(hello).reserving(compressed)}, failed},
		{"RSV1 of the last fragment", []frame{squeezed(hello[:3]).begun(), rest(hello[3:]).reserving(compressed)}, failed},
		{"RSV1 of a fragment in the middle", []frame{squeezed(hello[:3]).begun(), rest("").reserving(compressed).begun(), rest(hello[3:])}, failed},
		{"RSV1 of a continuation of what is not compressed", []frame{text("a").begun(), rest(hello).reserving(compressed)}, failed},
		{"RSV1 of a text inside of a message", []frame{squeezed(hello[:3]).begun(), squeezed(hello)}, failed},
		{"RSV1 of a reserved opcode", []frame{{op: 3, rsv: compressed}}, failed},
		{"RSV2", []frame{text("a").reserving(2)}, failed},
		{"RSV3", []frame{text("a").reserving(1)}, failed},
		{"RSV1 and RSV2", []frame{squeezed(hello).reserving(6)}, failed},
		{"RSV1 and RSV3", []frame{squeezed(hello).reserving(5)}, failed},
		{"all of them", []frame{squeezed(hello).reserving(7)}, failed},
	} {
		s.playOffering(t, agreed, e, atOnce, bytewise)
		e.send = append([]frame{ping("good")}, e.send...)
		e.want = append([]frame{pong("good")}, e.want...)
		e.name += " behind a ping"
		s.playOffering(t, agreed, e, atOnce)
	}
	s.playOffering(t, []string{pmd + "; unknown"}, exchange{"RSV1 though the offer was declined", []frame{squeezed(hello)}, failed}, atOnce)

	failed = []frame{closing(1007, "")}
	for name, broken := range map[string]string{
		"no deflate data":                 "\xff\xff\xff\xff\xff",
		"a kind of block that is not":     "\x06",
		"the same as the last block":      "\x07\x00",
		"lengths that do not agree":       "\x00\x05\x00\xfa\xfeHello\x00",
		"a block that is cut short":       "\x00\x0c\x00\xf3\xffabc",
		"too many codes for lengths":      "\x04\xfc\xff\xff\xff\xff\xff\xff\xff\xff",
		"a length that is not":            "\x4a\x1c\x03\x00\x00", // "a", then symbol 286 of the fixed codes
		"garbage behind a good block":     hello + "\xff\xff",
		"garbage behind the last block":   "\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff",
		"text that was not compressed":    strings.Repeat("not compressed ", 10),
		"a header that is cut short":      "\x00\x05",
		"a reference beyond the window":   reference(5),
		"a distance that is not":          "\x4a\x04\x3e\x00\x00", // "a", then symbol 30 of the distances
		"a good block and a reference":    hello + reference(6),
		"far too much that is nonsense":   strings.Repeat("\xff\x00\x55", 100000),
		"the last block's end, then more": "\x03\x00\x06",
	} {
		for _, op := range []frame{text(broken), data(broken)} {
			f := op.reserving(compressed)
			e := exchange{fmt.Sprintf("opcode %d, %s", f.op, name), []frame{f, text("late")}, failed}
			s.playOffering(t, agreed, e, atOnce, chopped)
			e.name += ", in fragments"
			e.send = append(inFragments(f, 1+len(broken)/3), ping("late"))
			s.playOffering(t, agreed, e, atOnce, byFrame)
		}
	}
	s.compressedText(t)
}

// compressedText checks that compressed text must be UTF-8, and that a binary message need not be.
func (s *suite) compressedText(t *testing.T) {
	for _, bad := range append(badText, openText...) {
		for _, message := range []string{bad, greek + bad, strings.Repeat(greek, 200) + bad} {
			s.run(t, fmt.Sprintf("bad % x behind %d bytes", bad, len(message)-len(bad)), func(t *testing.T) {
				k := s.open(t, pmd)
				k.write(atOnce, data(k.compress(message)).reserving(compressed))
				k.expect(message, opBinary)
				k.write(atOnce, inFragments(text(k.compress(message)).reserving(compressed), 16)...)
				k.write(atOnce, ping("late"))
				k.expectClose(t, 1007)
			})
		}
	}
	for i, good := range goodText() {
		s.run(t, fmt.Sprintf("good %d", i), func(t *testing.T) {
			k := s.open(t, pmd)
			for range 3 {
				k.write(bytewise, inFragments(text(k.compress(good)).reserving(compressed), 2)...)
				k.expect(good, opText)
			}
		})
	}
}

// bombs are small messages that unpack to more than the limit. The server stops at the limit: to unpack them whole would take far
// longer than these tests wait.
func (s *suite) bombs(t *testing.T) {
	const piece = 4 << 20
	zeros := strings.Repeat("\x00", piece)
	for _, op := range []byte{opText, opBinary} {
		for _, row := range []struct {
			name string
			size int
			code uint16 // 0 = it is accepted
		}{
			{"as much as is taken", maxMessage, 0},
			{"one byte more", maxMessage + 1, 1009},
			{"10 GiB", 10 << 30, 1009},
		} {
			s.run(t, fmt.Sprintf("opcode %d, %s", op, row.name), func(t *testing.T) {
				k := s.open(t, pmd+"; "+clientNoMemory)
				_ = k.SetDeadline(time.Now().Add(patience / 2))
				// Independent pieces, each ended by an empty block, make one message.
				b := strings.Repeat(k.compress(zeros)+"\x00\x00\xff\xff", row.size/piece) + k.compress(zeros[:row.size%piece])
				f := frame{op: op, rsv: compressed, payload: b}
				go k.write(atOnce, f) // it may be refused before it has arrived whole
				if row.code == 0 {
					k.expect(strings.Repeat(zeros, row.size/piece), op)
				} else {
					k.expectClose(t, row.code)
				}
			})
		}
	}
}
