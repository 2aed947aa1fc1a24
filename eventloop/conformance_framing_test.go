package eventloop_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// framing sends messages whose lengths are at the borders of the three forms of the length, RFC 6455 section 5.2.
func (s *suite) framing(t *testing.T) {
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536} {
		for _, f := range []frame{text(strings.Repeat("*", n)), data(strings.Repeat("\xfe", n))} {
			cuts := []cut{atOnce, chopped, bytewise}
			if n > 128 && n != 65536 {
				cuts = cuts[:2] // a write for each byte is slow
			}
			s.play(t, exchange{fmt.Sprintf("opcode %d of %d bytes", f.op, n), []frame{f}, []frame{f}}, cuts...)
		}
	}
	var many []frame
	for n := range 300 {
		many = append(many, text(strings.Repeat("x", n)), data(strings.Repeat("\x00", 300-n)))
	}
	s.play(t, exchange{"600 messages", many, many}, atOnce, chopped)
}

// pings are answered with their payload, in their order, and pongs are not answered, RFC 6455 sections 5.5.2 and 5.5.3.
func (s *suite) pings(t *testing.T) {
	const any = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	longest := strings.Repeat("\xfe", 125)
	var ten, answers []frame
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprint("payload ", i)))
		answers = append(answers, pong(fmt.Sprint("payload ", i)))
	}
	for _, e := range []exchange{
		{"ping without payload", []frame{ping("")}, []frame{pong("")}},
		{"ping with text", []frame{ping("Hello, world!")}, []frame{pong("Hello, world!")}},
		{"ping with bytes", []frame{ping(any)}, []frame{pong(any)}},
		{"longest ping", []frame{ping(longest)}, []frame{pong(longest)}},
		{"ping that is too long", []frame{ping(longest + "x")}, []frame{closing(1002, "")}},
		{"ping that is far too long", []frame{ping(strings.Repeat("x", 70000))}, []frame{closing(1002, "")}},
		{"header of a ping that is too long", []frame{{op: opPing, owed: 126}}, []frame{closing(1002, "")}},
		{"pong that is too long", []frame{pong(longest + "x")}, []frame{closing(1002, "")}},
		{"ten pings", ten, answers},
		{"pong without payload", []frame{pong("")}, nil},
		{"pong with payload", []frame{pong("unasked")}, nil},
		{"longest pong", []frame{pong(longest)}, nil},
		{"pong and ping", []frame{pong("unasked"), ping("x")}, []frame{pong("x")}},
		{"pongs between ten pings", slices.Concat([]frame{pong("unasked")}, ten[:5], []frame{pong(""), pong(longest)}, ten[5:]), answers},
		{"ping between messages", []frame{text("a"), ping("x"), data("b")}, []frame{text("a"), pong("x"), data("b")}},
	} {
		s.play(t, e, atOnce, byFrame, bytewise)
	}
}

// reserved bits and opcodes have no meaning here: "the receiving endpoint MUST _Fail the WebSocket Connection_", RFC 6455
// section 5.2. Frames before them are answered, frames after them are not.
func (s *suite) reserved(t *testing.T) {
	cuts := []cut{atOnce, byFrame, chopped, bytewise}
	var wrong []exchange
	add := func(name string, f frame) { wrong = append(wrong, exchange{name: name, send: []frame{f}}) }
	for rsv := byte(1); rsv <= 7; rsv++ {
		for name, f := range map[string]frame{
			"text": text("small"), "empty text": text(""), "binary": data("\x00\xff"), "fragment": text("small").begun(),
			"ping": ping("x"), "pong": pong("x"), "close": closing(1000, ""),
		} {
			add(fmt.Sprintf("RSV %03b of %s", rsv, name), f.reserving(rsv))
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		name := fmt.Sprintf("opcode %d", op)
		add(name, frame{op: op})
		add(name+" with payload", frame{op: op, payload: "reserved"})
		add(name+" fragmented", frame{op: op, payload: "reserved", more: true})
	}
	for _, e := range wrong {
		e.want = []frame{closing(1002, "")}
		s.play(t, e, atOnce, bytewise)
		s.play(t, exchange{
			e.name + " between good frames",
			[]frame{text("good"), ping("x"), e.send[0], text("late"), ping("late")},
			[]frame{text("good"), pong("x"), closing(1002, "")},
		}, cuts...)
	}
	s.play(t, exchange{
		"RSV of a continuation",
		[]frame{text("a").begun(), rest("b").reserving(1)}, []frame{closing(1002, "")},
	}, cuts...)
}
