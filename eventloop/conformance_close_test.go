package eventloop_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// closeCodes are answered with the same code if they may be on the wire, RFC 6455 sections 5.5.1 and 7.4, and fail the
// connection if they may not.
func (s *suite) closeCodes(t *testing.T) {
	for _, code := range []uint16{
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
	} {
		for _, reason := range []string{"", "reason", strings.Repeat("*", 123), greek} {
			f := closing(code, reason)
			s.play(t, exchange{fmt.Sprintf("%d and %d bytes", code, len(reason)), []frame{f}, []frame{f}}, atOnce, bytewise)
		}
	}
	for _, code := range []uint16{
		0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535,
	} {
		for _, reason := range []string{"", "reason"} {
			s.play(t, exchange{
				fmt.Sprintf("%d and %d bytes", code, len(reason)),
				[]frame{closing(code, reason)}, []frame{closing(1002, "")},
			}, atOnce, bytewise)
		}
	}
	for _, e := range []exchange{
		{"without a code", []frame{{op: opClose}}, []frame{{op: opClose}}},
		{"one byte", []frame{{op: opClose, payload: "\x03"}}, []frame{closing(1002, "")}},
		{"reason of 124 bytes", []frame{closing(1000, strings.Repeat("*", 124))}, []frame{closing(1002, "")}},
		{"reason of 70000 bytes", []frame{closing(1000, strings.Repeat("*", 70000))}, []frame{closing(1002, "")}},
	} {
		s.play(t, e, atOnce, bytewise)
	}
	for _, bad := range append(badText, openText...) {
		s.play(t, exchange{
			fmt.Sprintf("reason % x", bad),
			[]frame{closing(1000, "*"+bad)}, []frame{closing(1007, "")},
		}, atOnce, bytewise)
	}
}

// closeOrder checks that the close frame is the last frame of both sides: "After sending a control frame indicating the
// connection should be closed, a peer does not send any further data". Frames after the client's are not answered.
func (s *suite) closeOrder(t *testing.T) {
	normal := closing(1000, "")
	big := text(strings.Repeat("*", 256<<10))
	for _, e := range []exchange{
		{"at once", []frame{normal}, []frame{normal}},
		{"behind a message", []frame{text("a"), normal}, []frame{text("a"), normal}},
		{"two close frames", []frame{normal, normal}, []frame{normal}},
		{"two close frames with other codes", []frame{closing(1001, ""), closing(4000, "")}, []frame{closing(1001, "")}},
		{"ping behind it", []frame{normal, ping("late")}, []frame{normal}},
		{"text behind it", []frame{normal, text("late")}, []frame{normal}},
		{"nonsense behind it", []frame{normal, frame{op: 15, rsv: 7}}, []frame{normal}},
		{"inside of a message", []frame{text("a").begun(), normal, rest("b")}, []frame{normal}},
		{"inside of a character", []frame{text("\xc3").begun(), normal}, []frame{normal}},
		{"behind a big message", []frame{big, normal, ping("late")}, []frame{big, normal}},
		{"behind a broken frame", []frame{frame{op: 3}, normal}, []frame{closing(1002, "")}},
	} {
		s.play(t, e, atOnce, byFrame, chopped)
	}
	s.run(t, "very much behind it", func(t *testing.T) {
		p := s.dial(t)
		_ = p.Conn.(*net.TCPConn).SetReadBuffer(16 << 10) // the answers have to wait in the server's socket
		p.write(byFrame, big, normal)
		late := repeated(ping("late"), 10000)
		for range 10 {
			p.write(atOnce, late...)
		}
		p.expect(t, big)
		p.expectClose(t, 1000)
	})
}
