package eventloop_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// greek has code points of one, two and three bytes.
const greek = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-\u03ba\u1f79\u03c3\u03bc\u03b5-UTF-8!!"

// goodText holds texts that are UTF-8, RFC 3629: the first and last of each length, the neighbours of the surrogates, and
// the non-characters, which are code points like any other.
func goodText() []string {
	texts := []string{
		"\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff",
		"\ud7ff", "\ue000", "\ufeff", "\ufdd0\ufdef", "\ufffd", greek, strings.Repeat("\U0001f600", 40),
	}
	for plane := rune(0); plane <= 16; plane++ {
		texts = append(texts, string([]rune{plane<<16 | 0xfffe, plane<<16 | 0xffff}))
	}
	return texts
}

// badText holds bytes that are not UTF-8, whatever follows.
var badText = []string{
	"\x80", "\xbf", "\x80\xbf", strings.Repeat("\x80\xbf", 32), // continuation bytes without a first byte
	"\xc0", "\xc1", "\xf5", "\xf8", "\xfc", "\xfe", "\xff", "\xfe\xfe\xff\xff", // bytes that are never there
	"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf", // more bytes than needed
	"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf",
	"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80",
	"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf", // forms of 5 and 6 bytes
	"\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", // above U+10FFFF
	"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf", // surrogates
	"\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf", // and pairs of them
	"\xc3\x28", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc", "\xf0\x90\x28\xbc", "\xf0\x9f\x98\x28", // cut short by another byte
	"\xc3\xc3", "\xe2\x82\xe2\x82", "\xf0\x9f\x98\xf0",
}

// openText holds incomplete characters.
var openText = []string{"\xc2", "\xdf", "\xe0", "\xe0\xa0", "\xe2\x82", "\xed\x9f", "\xef\xbf", "\xf0", "\xf0\x90", "\xf0\x9f\x98", "\xf4\x8f\xbf"}

// possible returns the number of bytes of s that may begin a text, by unicode/utf8.
func possible(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			for n := 1; n <= len(s)-i; n++ {
				if utf8.FullRuneInString(s[i : i+n]) { // a byte that cannot belong to it makes it full
					return i + n - 1
				}
			}
			return len(s)
		}
		i += n
	}
	return len(s)
}

// utf8 checks that text must be UTF-8, wherever its frames are cut: "that endpoint MUST _Fail the WebSocket Connection_",
// RFC 6455 section 8.1, with 1007.
func (s *suite) utf8(t *testing.T) {
	failed := []frame{closing(1007, "")}
	for i, good := range goodText() {
		whole := []frame{text(good)}
		name := fmt.Sprintf("good %d", i)
		s.play(t, exchange{name, whole, whole}, atOnce, bytewise)
		inBytes, atCharacters := []frame{text("").begun()}, []frame{text("").begun()}
		for j := range len(good) {
			inBytes = append(inBytes, rest(good[j:j+1]).begun())
		}
		for _, r := range good {
			atCharacters = append(atCharacters, rest(string(r)).begun())
		}
		s.play(t, exchange{name + ", a fragment for each character", append(atCharacters, rest("")), whole}, atOnce)
		s.play(t, exchange{name + ", a fragment for each byte", append(inBytes, rest("")), whole}, atOnce, bytewise)
	}
	for _, bad := range append(badText, openText...) {
		name := fmt.Sprintf("bad % x", bad)
		around := greek + bad + "edited"
		s.play(t, exchange{name, []frame{text(bad), text("late")}, failed}, atOnce, bytewise)
		s.play(t, exchange{name + " in the middle", []frame{text("good"), text(around), ping("late")}, []frame{text("good"), failed[0]}}, atOnce, chopped)
		s.play(t, exchange{name + " between fragments", []frame{text(greek + bad[:1]).begun(), rest(bad[1:] + "edited"), text("late")}, failed}, atOnce)
		s.play(t, exchange{name + " as binary", []frame{data(bad)}, []frame{data(bad)}}, atOnce)
	}
	s.play(t, exchange{"text behind text that was cut", []frame{text("\xc3").begun(), rest(""), text("\xa4")}, failed}, atOnce)
	s.play(t, exchange{"each message begins anew", []frame{text(greek).begun(), rest(greek), text(greek)}, []frame{text(greek + greek), text(greek)}}, bytewise)
}

// utf8AtOnce checks that the first byte that cannot be right fails the connection, and no byte before it, though neither the
// message nor the frame is complete.
func (s *suite) utf8AtOnce(t *testing.T) {
	for _, bad := range badText {
		around := greek + bad + "edited"
		n := possible(around)
		name := fmt.Sprintf("% x", bad)
		failed := []frame{closing(1007, "")}
		for _, op := range []struct {
			name string
			send []frame
		}{
			{"in a frame whose rest never comes", []frame{{op: opText, payload: around[:n+1], owed: 1000}}},
			{"in a first fragment", []frame{text(around[:n+1]).begun()}},
			{"in a first fragment whose rest never comes", []frame{{op: opText, payload: around[:n+1], owed: 1, more: true}}},
			{"in a later fragment", []frame{text(around[:n]).begun(), rest(around[n : n+1]).begun()}},
			{"in a later fragment whose rest never comes", []frame{text(around[:n]).begun(), {op: opContinuation, payload: around[n : n+1], owed: 100000}}},
		} {
			s.play(t, exchange{name + " " + op.name, op.send, failed}, atOnce, byFrame, bytewise)
		}
		s.run(t, name+", not before", func(t *testing.T) {
			p := s.dial(t)
			p.write(atOnce, text(around[:n]).begun(), ping("x"))
			p.expect(t, pong("x"))
			p.write(atOnce, rest(around[n:n+1]).begun())
			p.expectClose(t, 1007)
		})
	}
	for _, open := range openText {
		s.run(t, fmt.Sprintf("% x is possible until the message ends", open), func(t *testing.T) {
			p := s.dial(t)
			p.write(atOnce, text(open).begun(), ping("x"))
			p.expect(t, pong("x"))
			p.write(atOnce, rest(""))
			p.expectClose(t, 1007)
		})
	}
}

// utf8Pairs sends all bytes above ASCII as the first of a message, with second bytes of each kind.
func (s *suite) utf8Pairs(t *testing.T) {
	const seconds = "\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xff"
	for first := 0x80; first <= 0xff; first++ {
		s.run(t, fmt.Sprintf("%x", first), func(t *testing.T) {
			for _, second := range []byte(seconds) {
				pair := string([]byte{byte(first), second})
				p := s.dial(t)
				p.write(atOnce, text(pair).begun(), ping("x"))
				if possible(pair) < len(pair) {
					p.expectClose(t, 1007)
				} else {
					p.expect(t, pong("x"))
				}
				p.Close()
			}
			s.cases.Add(int64(len(seconds)) - 1)
		})
	}
}
