package wsproto

import "testing"

func TestOpcode(t *testing.T) {
	names := map[Opcode]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
	for op := range Opcode(16) {
		want, defined := names[op]
		if !defined {
			want = "reserved"
		}
		if got := op.String(); got != want {
			t.Errorf("Opcode(%d).String() = %q, want %q", op, got, want)
		}
		if op.Reserved() == defined {
			t.Errorf("Opcode(%d).Reserved() = %v", op, op.Reserved())
		}
		if op.Control() != (op >= 8) {
			t.Errorf("Opcode(%d).Control() = %v", op, op.Control())
		}
	}
	if !Opcode(16).Reserved() || !Opcode(0x81).Reserved() {
		t.Error("an opcode that does not fit into four bits is not reserved")
	}
}
