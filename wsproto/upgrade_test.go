package wsproto

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// upgradeRequest returns a valid opening handshake. Each pair of edits is the prefix of a line and its replacement; an empty
// replacement removes the line.
func upgradeRequest(edits ...string) string {
	lines := []string{
		"GET /chat HTTP/1.1",
		"Host: server.example.com",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Origin: http://example.com",
		"Sec-WebSocket-Protocol: chat, superchat",
		"Sec-WebSocket-Version: 13",
	}
	head := ""
	for _, line := range lines {
		for i := 0; i < len(edits); i += 2 {
			if strings.HasPrefix(line, edits[i]) {
				line = edits[i+1]
			}
		}
		if line != "" {
			head += line + "\r\n"
		}
	}
	return head + "\r\n"
}

func TestCheckUpgrade(t *testing.T) {
	protocols := func(value string) string {
		return upgradeRequest("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol:"+value)
	}
	extensions := func(value string) string { return upgradeRequest("Origin", "Sec-WebSocket-Extensions:"+value) }
	key := func(value string) string { return upgradeRequest("Sec-WebSocket-Key", "Sec-WebSocket-Key: "+value) }
	var many []string
	for i := range maxProtocols {
		many = append(many, fmt.Sprint("p", i))
	}
	for _, row := range []struct {
		name string
		in   string
		want error
	}{
		{"RFC 6455 1.2", upgradeRequest(), nil},
		{"Chrome", chromeRequest, nil},
		{"without Origin and protocols", upgradeRequest("Origin", "", "Sec-WebSocket-Protocol", ""), nil},
		{"HTTP/1.2", upgradeRequest("GET", "GET /chat HTTP/1.2"), nil},

		{"POST", upgradeRequest("GET", "POST /chat HTTP/1.1"), ErrUpgradeMethod},
		{"get", upgradeRequest("GET", "get /chat HTTP/1.1"), ErrUpgradeMethod},
		{"HTTP/1.0", upgradeRequest("GET", "GET /chat HTTP/1.0"), ErrHTTP10},

		{"plain request", upgradeRequest("Upgrade", "", "Connection", "", "Sec", ""), ErrNotUpgrade},
		{"plain request, keep-alive", upgradeRequest("Upgrade", "", "Connection", "Connection: keep-alive"), ErrNotUpgrade},
		{"no Upgrade", upgradeRequest("Upgrade", ""), ErrNotUpgrade},
		{"empty Upgrade", upgradeRequest("Upgrade", "Upgrade:"), ErrNotUpgrade},
		{"Upgrade to h2c", upgradeRequest("Upgrade", "Upgrade: h2c"), ErrNotUpgrade},
		{"Upgrade to a version of websocket", upgradeRequest("Upgrade", "Upgrade: websocket/13"), ErrNotUpgrade},
		{"Upgrade to websockets", upgradeRequest("Upgrade", "Upgrade: websockets"), ErrNotUpgrade},
		{"Upgrade in capitals", upgradeRequest("Upgrade", "UPGRADE: WEBSOCKET"), nil},
		{"Upgrade in a list", upgradeRequest("Upgrade", "Upgrade: h2c, WebSocket ,TLS/1.0"), nil},
		{"Upgrade on two lines", upgradeRequest("Upgrade", "Upgrade: h2c\r\nUpgrade: websocket"), nil},

		{"no Connection", upgradeRequest("Connection", ""), ErrConnection},
		{"Connection: keep-alive", upgradeRequest("Connection", "Connection: keep-alive"), ErrConnection},
		{"Connection: upgraded", upgradeRequest("Connection", "Connection: upgraded"), ErrConnection},
		{"Connection in a list", upgradeRequest("Connection", "Connection: keep-alive, Upgrade"), nil},
		{"Connection in lower case", upgradeRequest("Connection", "connection:upgrade"), nil},
		{"Connection on two lines", upgradeRequest("Connection", "Connection: keep-alive\r\nConnection: Upgrade"), nil},
		{"Connection with empty elements", upgradeRequest("Connection", "Connection: , ,\tUpgrade , ,"), nil},

		{"no version", upgradeRequest("Sec-WebSocket-Version", ""), ErrVersion},
		{"empty version", upgradeRequest("Sec-WebSocket-Version", "Sec-WebSocket-Version:"), ErrVersion},
		{"version 8", upgradeRequest("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), ErrVersion},
		{"version 14", upgradeRequest("Sec-WebSocket-Version", "Sec-WebSocket-Version: 14"), ErrVersion},
		{"version 013", upgradeRequest("Sec-WebSocket-Version", "Sec-WebSocket-Version: 013"), ErrVersion},
		{"list of versions", upgradeRequest("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8"), ErrVersion},

		{"no key", upgradeRequest("Sec-WebSocket-Key", ""), ErrKey},
		{"empty key", key(""), ErrKey},
		{"key of 15 bytes", key("AAAAAAAAAAAAAAAAAAAA"), ErrKey},
		{"key of 17 bytes", key("AAAAAAAAAAAAAAAAAAAAAAA="), ErrKey},
		{"key of 18 bytes", key("AAAAAAAAAAAAAAAAAAAAAAAA"), ErrKey},
		{"key of 16 zero bytes", key("AAAAAAAAAAAAAAAAAAAAAA=="), nil},
		{"key of 16 FF bytes", key("/////////////////////w=="), nil},
		{"key with the other last digits", key("+++++++++++++++++++++Q=="), nil},
		{"key with g", key("AAAAAAAAAAAAAAAAAAAAAg=="), nil},
		{"key with bits left over", key("AAAAAAAAAAAAAAAAAAAAAB=="), nil},
		{"key with bits left over, the example of RFC 6455 4.1", key("AQIDBAUGBwgJCgsMDQ4PEC=="), nil},
		{"key without padding", key("AAAAAAAAAAAAAAAAAAAAAA"), ErrKey},
		{"key with half the padding", key("AAAAAAAAAAAAAAAAAAAAAA=A"), ErrKey},
		{"key with padding before its end", key("AAAAAAAAAAAAAAAAAAAAA==="), ErrKey},
		{"key in the URL alphabet", key("-_AAAAAAAAAAAAAAAAAAAA=="), ErrKey},
		{"key with a space", key("AAAAAAAAAA AAAAAAAAAAA=="), ErrKey},
		{"key and more", key("AAAAAAAAAAAAAAAAAAAAAA== "), nil}, // white space around a value is not part of it
		{"key twice in one line", key("AAAAAAAAAAAAAAAAAAAAAA==,"), ErrKey},

		{"no protocols in the list", protocols(""), ErrProtocols},
		{"empty elements alone", protocols(" , ,"), ErrProtocols},
		{"empty elements too", protocols(" ,chat,, superchat ,"), nil},
		{"protocol with a space", protocols(" chat superchat"), ErrProtocols},
		{"protocol with a slash", protocols(" chat/1"), ErrProtocols},
		{"quoted protocol", protocols(` "chat"`), ErrProtocols},
		{"non-ASCII protocol", protocols(" caf\xc3\xa9"), ErrProtocols},
		{"protocol twice", protocols(" chat, superchat, chat"), ErrProtocols},
		{"protocol in two cases", protocols(" chat, Chat"), nil},
		{"protocol twice over two lines", protocols(" chat\r\nSec-WebSocket-Protocol: superchat, chat"), ErrProtocols},
		{"protocols on four lines", protocols(" a\r\nSec-WebSocket-Protocol: b\r\nSec-WebSocket-Protocol: c\r\nSec-WebSocket-Protocol: d"), nil},
		{"second line empty", protocols(" a\r\nSec-WebSocket-Protocol:"), ErrProtocols},
		{"32 protocols", protocols(strings.Join(many, ",")), nil},
		{"33 protocols", protocols(strings.Join(many, ",") + ",more"), ErrProtocols},

		{"one extension", extensions(" permessage-deflate"), nil},
		{"extensions with parameters", extensions(` foo, bar; baz=2 ,permessage-deflate; client_max_window_bits; server_max_window_bits="10"`), nil},
		{"extensions with white space", extensions(" foo\t;\ta = b ;c , bar"), nil},
		{"extensions with empty elements", extensions(" ,, foo ,"), nil},
		{"extensions on two lines", extensions(" foo\r\nSec-WebSocket-Extensions: bar; a=\"b\\c\""), nil},
		{"empty extensions", extensions(""), ErrExtensions},
		{"empty elements alone as extensions", extensions(" ,"), ErrExtensions},
		{"parameter without a name", extensions(" foo;"), ErrExtensions},
		{"parameter without a name before the next", extensions(" foo; , bar"), ErrExtensions},
		{"extension without a name", extensions(" ;a=b"), ErrExtensions},
		{"parameter without a value", extensions(" foo; a="), ErrExtensions},
		{"parameter with two values", extensions(" foo; a=b=c"), ErrExtensions},
		{"value behind an extension's name", extensions(" foo=bar"), ErrExtensions},
		{"two words", extensions(" foo bar"), ErrExtensions},
		{"empty quotes", extensions(` foo; a=""`), ErrExtensions},
		{"open quotes", extensions(` foo; a="b`), ErrExtensions},
		{"open quotes and nothing", extensions(` foo; a="`), ErrExtensions},
		{"backslash at the end", extensions(` foo; a="b\`), ErrExtensions},
		{"no token in quotes", extensions(` foo; a="b c"`), ErrExtensions},
		{"no token behind a backslash", extensions(` foo; a="\""`), ErrExtensions},
		{"text behind quotes", extensions(` foo; a="b"c`), ErrExtensions},
		{"second line bad", extensions(" foo\r\nSec-WebSocket-Extensions: ;"), ErrExtensions},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, n, err := ParseRequest([]byte(row.in), RequestLimits{})
			if err != nil || n != len(row.in) {
				t.Fatalf("%q: %d, %v", row.in, n, err)
			}
			if err := r.CheckUpgrade(); err != row.want && !errors.Is(err, row.want) {
				t.Errorf("%q: error %v, want %v", row.in, err, row.want)
			}
		})
	}
}

func TestProtocol(t *testing.T) {
	known := []string{"tickcast.v1.json", "tickcast.v1.bin"}
	for _, row := range []struct {
		name, lines, want string
	}{
		{"none offered", "", ""},
		{"one", "Sec-WebSocket-Protocol: tickcast.v1.bin", "tickcast.v1.bin"},
		{"the client's order counts", "Sec-WebSocket-Protocol: tickcast.v1.bin, tickcast.v1.json", "tickcast.v1.bin"},
		{"unknown ones before it", "Sec-WebSocket-Protocol: mqtt,,wamp , tickcast.v1.json", "tickcast.v1.json"},
		{"on the second line", "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: tickcast.v1.json", "tickcast.v1.json"},
		{"unknown ones only", "Sec-WebSocket-Protocol: mqtt, wamp", ""},
		{"another case", "Sec-WebSocket-Protocol: TICKCAST.V1.JSON", ""},
		{"a prefix", "Sec-WebSocket-Protocol: tickcast.v1", ""},
	} {
		r, _, err := ParseRequest([]byte(upgradeRequest("Sec-WebSocket-Protocol", row.lines)), RequestLimits{})
		if err != nil {
			t.Fatal(row.name, err)
		}
		if got := r.Protocol(known); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
		if got := r.Protocol(nil); got != "" {
			t.Errorf("%s: %q although none is known", row.name, got)
		}
	}
}

// The key and its answer are those of RFC 6455 §1.3.
func TestAppendUpgrade(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	key := []byte("dGhlIHNhbXBsZSBub25jZQ==")
	if got, want := string(AppendUpgrade([]byte("dst"), key, "", Deflate{})), "dst"+head+"\r\n"; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if got, want := string(AppendUpgrade(nil, key, "chat", Deflate{})), head+"Sec-WebSocket-Protocol: chat\r\n\r\n"; got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if string(key) != "dGhlIHNhbXBsZSBub25jZQ==" {
		t.Error("the key was changed")
	}
}
