package eventloop_test

import (
	"fmt"
	"strings"
	"testing"
)

// sizes sends messages up to the largest that is accepted, in frames and in writes of all sizes.
func (s *suite) sizes(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	// All messages are parts of these two, which have a character's end at each multiple of 64 bytes.
	texts := strings.Repeat(greek+strings.Repeat("*", 64-len(greek)), maxMessage/64+1)
	bytes := strings.Repeat("\x00\xfe\xff", maxMessage/3+1)
	for _, op := range []byte{opText, opBinary} {
		message := func(n int) frame {
			if op == opText {
				return text(texts[:n])
			}
			return data(bytes[:n])
		}
		play := func(n, fragment int, how cut) {
			m := message(n)
			name := fmt.Sprintf("opcode %d of %d bytes in fragments of %d", op, n, fragment)
			s.play(t, exchange{name, inFragments(m, fragment), []frame{m}}, how)
		}
		for _, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, maxMessage} {
			play(n, n, atOnce)
		}
		for _, fragment := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib} {
			play(4*mib, fragment, atOnce)
		}
		play(maxMessage, 64*kib, atOnce)
		for _, how := range []cut{64, 128, 256, 512, 1024, 2048} {
			play(mib, mib, how)
		}
		play(256*kib, 1000, chopped)

		tooBig := []frame{closing(1009, "")}
		m := message(maxMessage + 1)
		for _, e := range []exchange{
			{"one byte too many", []frame{m}, tooBig},
			{"one byte too many in two fragments", inFragments(m, maxMessage), tooBig},
			{"the header promises one byte too many", []frame{{op: op, owed: maxMessage + 1}}, tooBig},
			{"the header promises very much", []frame{{op: op, owed: 1<<63 - 1}}, tooBig},
			{"the last header promises one byte too many", []frame{message(kib).begun(), {op: opContinuation, owed: maxMessage - kib + 1}}, tooBig},
			{"a message before", []frame{message(5), m}, []frame{message(5), tooBig[0]}},
		} {
			e.name = fmt.Sprintf("opcode %d, %s", op, e.name)
			s.play(t, e, atOnce)
		}
	}
	const letters = "BAsd7&jh23"
	long := text(strings.Repeat(letters, 65536/len(letters)+1)[:65536])
	s.play(t, exchange{"65536 letters in fragments of 1300", inFragments(long, 1300), []frame{long}}, atOnce, byFrame, chopped)
}

// inFragments returns a message in frames of that many bytes.
func inFragments(m frame, size int) (frames []frame) {
	f, left := m, m.payload
	for ; len(left) > size; left = left[size:] {
		f.payload, f.more = left[:size], true
		frames = append(frames, f)
		f = rest("")
	}
	f.payload, f.more = left, m.more
	return append(frames, f)
}

// roundTrips sends a message and waits for its echo, a thousand times.
func (s *suite) roundTrips(t *testing.T) {
	for _, n := range []int{0, 16, 64, 256, 1024, 4096, 16384, 65536} {
		for _, f := range []frame{text(strings.Repeat("*", n)), data(strings.Repeat("\xfe", n))} {
			s.run(t, fmt.Sprintf("opcode %d of %d bytes", f.op, n), func(t *testing.T) {
				p := s.dial(t)
				b := f.appendTo(nil)
				for range 1000 {
					_, _ = p.Write(b)
					p.expect(t, f)
				}
				p.write(atOnce, closing(1000, ""))
				p.expectClose(t, 1000)
			})
		}
	}
}
