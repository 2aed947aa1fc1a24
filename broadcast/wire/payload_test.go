package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPayloads(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a":[1,2]}`, `{"a":[1,2]}`},
		{" 1\n", " 1\n"},
		{`{"a":1`, `"{\"a\":1"`},
		{`NaN`, `"NaN"`},
		{"\x00\x1f\x7f", "\"\\u0000\\u001f\x7f\""},
		{"straße 日 \U0001F600", "\"straße 日 \U0001F600\""},
	} {
		got, _, ok := PayloadJSON.Data([]byte(c.in), 64)
		if !ok || string(got) != c.want {
			t.Errorf("payload %q = %q, %v; want %q", c.in, got, ok, c.want)
		}
	}
	// Bad UTF-8 in one text frame makes every browser that gets it close its connection with 1007. encoding/json lets it
	// pass inside of a string.
	for _, bad := range []string{"\xff", "\"\xff\"", "{\"a\":\"\xc3\"}", "{\"\xed\xa0\x80\":1}", "abc\xc0\xaf"} {
		if got, _, ok := PayloadJSON.Data([]byte(bad), 64); ok {
			t.Errorf("payload %q was taken as %q", bad, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "px.>", `"\/`, "a\x00\b\f\n\r\tz", "<&>", "日本\u2028", "\U0010FFFF"} {
		quoted := appendString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(quoted[1:], &back); err != nil || back != s || quoted[0] != 'x' {
			t.Errorf("%q was written as %s: %q, %v", s, quoted, back, err)
		}
		if strings.ContainsAny(s, "<&>") && strings.Contains(string(quoted), `\u`) {
			t.Errorf("%q was escaped to %s", s, quoted)
		}
	}
	if got := string(appendString(nil, "a\xffb\xe6\x97")); got != "\"a\uFFFDb\uFFFD\uFFFD\"" {
		t.Errorf("bad UTF-8 was written as %q", got)
	}
}

// JSON that is too deep for clients' parsers becomes a string; brackets inside strings are no levels.
func TestPayloadDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		in   string
		kept bool
	}{
		{nested(64), true}, {nested(65), false}, {nested(9000), false},
		{`{"a":` + nested(63) + `}`, true}, {`{"a":` + nested(64) + `}`, false},
		{`"` + nested(100) + `"`, true}, {`"\"` + nested(100) + `\\"`, true}, {`["\\",` + nested(64) + `]`, false},
		{"[" + strings.Repeat("[],", 100) + "{}]", true},
		{"NaN", false}, {"\ufeff1", false}, {"1 2", false},
	} {
		data, kept, ok := PayloadJSON.Data([]byte(c.in), 64)
		if !ok || kept != c.kept || !json.Valid(data) || !kept && data[0] != '"' {
			t.Errorf("%.40s: kept %v, want %v: %.40s", c.in, kept, c.kept, data)
		}
	}
}
