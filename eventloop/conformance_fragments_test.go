package eventloop_test

import (
	"strings"
	"testing"
)

// fragments are put together, and fail the connection where no message is under way, RFC 6455 section 5.4.
func (s *suite) fragments(t *testing.T) {
	failed := []frame{closing(1002, "")}
	longest := strings.Repeat("p", 125)
	for _, e := range []exchange{
		{"ping in two fragments", []frame{ping("a").begun(), rest("b")}, failed},
		{"pong in two fragments", []frame{pong("a").begun(), rest("b")}, failed},
		{"close in two fragments", []frame{closing(1000, "").begun(), rest("b")}, failed},
		{"first half of a ping inside a message", []frame{text("a").begun(), ping("b").begun(), rest("c")}, failed},

		{"text", []frame{text("fragment 1").begun(), rest("fragment 2")}, []frame{text("fragment 1fragment 2")}},
		{"binary", []frame{data("\x00").begun(), rest("\xff")}, []frame{data("\x00\xff")}},
		{"empty fragments", []frame{text("").begun(), rest("").begun(), rest("")}, []frame{text("")}},
		{"empty last fragment", []frame{text("a").begun(), rest("")}, []frame{text("a")}},
		{"empty first fragment", []frame{data("").begun(), rest("a")}, []frame{data("a")}},
		{"text in the middle", []frame{text("").begun(), rest("middle").begun(), rest("")}, []frame{text("middle")}},
		{"two messages",
			[]frame{text("1").begun(), rest("2"), data("3").begun(), rest("4")}, []frame{text("12"), data("34")}},
		{"five with pings between",
			[]frame{text("1").begun(), rest("2").begun(), ping("a"), rest("3").begun(), rest("4").begun(), ping("b"), rest("5")},
			[]frame{pong("a"), pong("b"), text("12345")}},
		{"longest ping between", []frame{text("1").begun(), ping(longest), rest("2")}, []frame{pong(longest), text("12")}},
		{"ten pings between",
			append(append([]frame{text("1").begun()}, repeated(ping("x"), 10)...), rest("2")),
			append(repeated(pong("x"), 10), text("12"))},
		{"pong between", []frame{text("1").begun(), pong("unasked"), rest("2")}, []frame{text("12")}},
		{"close between", []frame{text("1").begun(), closing(1001, "")}, []frame{closing(1001, "")}},

		{"last fragment of nothing", []frame{rest("x"), text("late")}, failed},
		{"fragment of nothing", []frame{rest("x").begun(), text("late")}, failed},
		{"empty fragment of nothing", []frame{rest("")}, failed},
		{"last fragment behind a message", []frame{text("a"), rest("x"), text("late")}, []frame{text("a"), failed[0]}},
		{"fragment behind a message", []frame{text("a"), rest("x").begun(), text("late")}, []frame{text("a"), failed[0]}},
		{"fragment behind fragments", []frame{text("a").begun(), rest("b"), rest("c")}, []frame{text("ab"), failed[0]}},
		{"fragment behind a ping", []frame{ping("a"), rest("x")}, []frame{pong("a"), failed[0]}},
		{"fragments of nothing and a message",
			[]frame{rest("1").begun(), rest("2").begun(), text("3").begun(), rest("4")}, failed},
		{"text inside a text", []frame{text("1").begun(), text("2")}, failed},
		{"binary inside a text", []frame{text("1").begun(), data("2")}, failed},
		{"first fragment inside a text", []frame{text("1").begun(), text("2").begun(), rest("3")}, failed},
		{"text inside a text, behind a ping", []frame{text("1").begun(), ping("a"), text("2")}, []frame{pong("a"), failed[0]}},
	} {
		s.play(t, e, atOnce, byFrame, chopped, bytewise)
	}
}

// fragmentsBetween checks that control frames are answered inside an incomplete message: "An endpoint MUST be capable of handling
// control frames in the middle of a fragmented message."
func (s *suite) fragmentsBetween(t *testing.T) {
	for _, how := range []cut{atOnce, bytewise} {
		s.run(t, "the pong comes first, "+how.String(), func(t *testing.T) {
			p := s.dial(t)
			p.write(how, text("1").begun(), rest("2").begun(), ping("a"))
			p.expect(t, pong("a"))
			p.write(how, rest("3").begun(), rest("4").begun(), ping("b"))
			p.expect(t, pong("b"))
			p.write(how, rest("5"))
			p.expect(t, text("12345"))
			p.write(how, closing(1000, ""))
			p.expectClose(t, 1000)
		})
	}
}

func repeated(f frame, n int) []frame {
	frames := make([]frame, n)
	for i := range frames {
		frames[i] = f
	}
	return frames
}
