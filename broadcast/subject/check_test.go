package subject

import (
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const longest = 12
	for _, c := range []struct {
		topic string
		want  error
	}{
		{"px", nil},
		{"px.AAPL", nil},
		{"a.b.c.d", nil},
		{"123456789012", nil},
		{"*", nil},
		{">", nil},
		{"px.*", nil},
		{"px.>", nil},
		{"*.*.>", nil},
		{"*.px.*", nil},
		{"straße.日", nil},
		{"a$b._c", nil}, // reserved at the start only
		{"px.$A", nil},

		{"", errEmpty},
		{"1234567890123", errLong},
		{"日日日日a", errLong}, // bytes, not characters

		{"$SYS.>", ErrReserved},
		{"$", ErrReserved},
		{"_INBOX.x", ErrReserved},
		{"_", ErrReserved},

		{".", errToken},
		{".px", errToken},
		{"px.", errToken},
		{"px..A", errToken},

		{"p x", errChar},
		{"px. ", errChar},
		{"p\tx", errChar},
		{"p\nx", errChar},
		{"p\x00x", errChar},
		{"p\x7fx", errChar},
		{"p\u0085x", errChar},
		{"p\u00a0x", errChar},
		{"p\u00adx", errChar},
		{"p\u200bx", errChar},
		{"p\u2028", errChar},
		{"p\u202ex", errChar},
		{"p\u3000x", errChar},
		{"\ufeffpx", errChar},
		{"p\xffx", errChar},
		{"\xc3", errChar},

		{">.px", errWildcard},
		{"px.>.A", errWildcard},
		{">.>", errWildcard},
		{"px.A*", errWildcard},
		{"px.*A", errWildcard},
		{"px.**", errWildcard},
		{"px.A>", errWildcard},
		{"px.>>", errWildcard},
	} {
		if err := Check(c.topic, longest, 8); !errors.Is(err, c.want) {
			t.Errorf("Check(%q) = %v, want %v", c.topic, err, c.want)
		}
	}
}

func TestCheckConcrete(t *testing.T) {
	for topic, want := range map[string]error{
		"px.A": nil, "px.*": errConcrete, ">": errConcrete, "px..A": errToken, "px.A.toolong": errLong,
	} {
		if err := CheckConcrete(topic, 8, 8); !errors.Is(err, want) {
			t.Errorf("CheckConcrete(%q) = %v, want %v", topic, err, want)
		}
	}
}

func TestCheckTokens(t *testing.T) {
	for n, want := range map[int]error{16: nil, 17: errTokens} {
		if err := Check(strings.Repeat("a.", n-1)+"a", 255, 16); err != want {
			t.Errorf("%d tokens: %v", n, err)
		}
	}
}
