package upstream

import (
	"fmt"
	"testing"
)

// parseAll returns the verbs and arguments of a stream that comes in pieces, and the payloads; without these after an error.
func parseAll(pieces ...[]byte) (lines, payloads string) {
	var p parser
	var b []byte
	for _, piece := range pieces {
		b = append(b, piece...)
		for len(b) > 0 {
			v, args, n, err := p.next(b)
			if err != nil {
				return lines + "error: " + err.Error(), ""
			}
			if n == 0 {
				break
			}
			if v == verbPayload {
				payloads += string(b[:n])
			} else {
				lines += fmt.Sprintf("|%d %q", v, args)
			}
			b = b[n:]
		}
	}
	return lines, payloads
}

func TestParser(t *testing.T) {
	got, payloads := parseAll([]byte("INFO {} \r\nPONG\r\n+OK\r\n-ERR 'a b'\r\nMSG a 1 2\r\nxy\r\nMSG a 1 r 0\r\n\r\nHMSG a 1 3 4\r\nabcd\r\nPING\r\n"))
	want := fmt.Sprintf(`|%d "{} "|%d ""|%d ""|%d "'a b'"|%[5]d "a 1 2"|%[5]d "a 1 r 0"|%[5]d "a 1 3 4"|%d ""`,
		verbInfo, verbPong, verbOK, verbErr, verbMsg, verbPing)
	if got != want || payloads != "xy\r\n\r\nabcd\r\n" {
		t.Errorf("parsed\n%s, want\n%s; payloads %q", got, want, payloads)
	}
}

// The parser never panics, and two pieces of a stream mean the same as the whole.
func FuzzParser(f *testing.F) {
	for _, s := range []string{
		"INFO {}\r\nPONG\r\nMSG a 1 2\r\nxy\r\n", "HMSG a 1 3 4\r\nabcd\r\n-ERR 'x'\r\n", "MSG px.a 1 9223372036854775807\r\n", "PUB a 1\r\nx\r\nSUB a  1\r\n",
	} {
		f.Add([]byte(s), 9)
	}
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		if at < 0 || at > len(b) {
			return
		}
		lines, payloads := parseAll(b)
		if lines2, payloads2 := parseAll(b[:at], b[at:]); lines2 != lines || payloads2 != payloads {
			t.Errorf("%q: whole %s %q, cut at %d %s %q", b, lines, payloads, at, lines2, payloads2)
		}
	})
}
