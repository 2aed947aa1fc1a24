package wsproto

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// Ranges with one result each, from RFC 6455 §7.4 and the registry of §11.7.
var statusRanges = []struct {
	from, to int
	ok       bool
}{
	{0, 999, false},     // not used
	{1000, 1003, true},  // normal, going away, protocol error, unsupported data
	{1004, 1006, false}, // reserved, no status, abnormal
	{1007, 1011, true},  // invalid payload to internal error
	{1012, 1014, true},  // registered later
	{1015, 1015, false}, // TLS handshake
	{1016, 2999, false}, // for later specifications
	{3000, 3999, true},  // registered by libraries and applications
	{4000, 4999, true},  // private
	{5000, 65535, false},
}

func TestStatusCodes(t *testing.T) {
	next := 0
	for _, r := range statusRanges {
		if r.from != next {
			t.Fatalf("the table has a gap before %d", r.from)
		}
		next = r.to + 1
		for code := r.from; code <= r.to; code++ {
			c := StatusCode(code)
			if c.ValidOnWire() != r.ok {
				t.Errorf("StatusCode(%d).ValidOnWire() = %v", code, !r.ok)
			}
			frame := AppendMaskedFrame(nil, OpClose, [4]byte{1, 2, 3, 4}, []byte{byte(code >> 8), byte(code)})
			var d Decoder
			m, n, err := d.Next(nil, frame)
			if !r.ok {
				if !errors.Is(err, ErrCloseCode) {
					t.Errorf("close %d: error %v, want %v", code, err, ErrCloseCode)
				}
				continue
			}
			if err != nil || n != len(frame) || m.Op != OpClose || m.Code != c || len(m.Payload) != 0 {
				t.Errorf("close %d: %+v, %d, %v", code, m, n, err)
			}
		}
	}
	if next != 65536 {
		t.Fatalf("the table ends at %d", next)
	}
}

func TestStatusConstants(t *testing.T) {
	got := []StatusCode{StatusNormal, StatusGoingAway, StatusProtocolError, StatusUnsupportedData, StatusNoStatus,
		StatusAbnormal, StatusInvalidPayload, StatusPolicyViolation, StatusMessageTooBig, StatusMandatoryExtension,
		StatusInternalError, StatusServiceRestart, StatusTryAgainLater, StatusBadGateway, StatusTLSHandshake}
	want := []StatusCode{1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("constant %d is %d, want %d", i, got[i], want[i])
		}
	}
}

func TestAppendClose(t *testing.T) {
	x123 := strings.Repeat("x", 123)
	for _, row := range []struct {
		name   string
		code   StatusCode
		reason string
		want   string // body
	}{
		{"code alone", 1000, "", "\x03\xe8"},
		{"reason", 1001, "away", "\x03\xe9away"},
		{"private code", 4999, "ü", "\x13\x87ü"},
		{"zero code", 0, "unused", ""},
		{"no status", StatusNoStatus, "unused", ""},
		{"abnormal", StatusAbnormal, "unused", ""},
		{"TLS handshake", StatusTLSHandshake, "", ""},
		{"above all", 5000, "", ""},
		{"longest reason", 1000, x123, "\x03\xe8" + x123},
		{"too long", 1000, x123 + "y", "\x03\xe8" + x123},
		{"cut before a rune of 2", 1000, x123[:122] + "üü", "\x03\xe8" + x123[:122]},
		{"cut behind a rune of 2", 1000, x123[:121] + "üü", "\x03\xe8" + x123[:121] + "ü"},
		{"cut before a rune of 4", 1000, x123[:120] + "😀", "\x03\xe8" + x123[:120]},
		{"cut behind a rune of 4", 1000, x123[:119] + "😀x", "\x03\xe8" + x123[:119] + "😀"},
		{"not UTF-8", 1000, "ab\xffcd", "\x03\xe8ab"},
		{"ends inside a rune", 1000, "ab\xe2\x82", "\x03\xe8ab"},
		{"a real replacement character", 1000, "a\ufffdb", "\x03\xe8a\ufffdb"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := string(AppendCloseBody([]byte("dst"), row.code, row.reason)); got != "dst"+row.want {
				t.Errorf("AppendCloseBody = %q, want %q", got, "dst"+row.want)
			}
			frame := AppendClose([]byte("dst"), row.code, row.reason)
			want := "dst\x88" + string(rune(len(row.want))) + row.want
			if string(frame) != want {
				t.Fatalf("AppendClose = %q, want %q", frame, want)
			}
			var d Decoder
			m, n, err := d.Next(&Config{Client: true}, frame[3:])
			if err != nil || n != len(frame)-3 || m.Op != OpClose {
				t.Fatalf("decoded: %+v, %d, %v", m, n, err)
			}
			if len(row.want) == 0 && m.Code != StatusNoStatus || len(row.want) > 0 && m.Code != row.code {
				t.Errorf("decoded code %d", m.Code)
			}
			if !utf8.Valid(m.Payload) || !bytes.HasSuffix([]byte(row.want), m.Payload) {
				t.Errorf("decoded reason %q", m.Payload)
			}
		})
	}
}
