package wsproto

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// badRequests has one row or more for each rule. The mark <!> in a request is not sent: it stands behind the byte
// that must cause the error, while a request without it must pass up to its last byte.
var badRequests = []struct {
	name string
	in   string
	want *RequestError
}{
	// The first bytes: what is no HTTP is refused at once.
	{"TLS ClientHello", "\x16<!>\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ErrMethod},
	{"SSL 2 ClientHello", "\x80<!>\x2e\x01\x03\x01", ErrMethod},
	{"SOCKS 5", "\x05<!>\x01\x00", ErrMethod},
	{"PROXY v2", "\r\n\r<!>\n\x00\r\nQUIT\n", ErrMethod},
	{"NUL", "\x00<!>", ErrMethod},
	{"space first", " <!>GET / HTTP/1.1\r\n", ErrMethod},
	{"two empty lines", "\r\n\r<!>\nGET / HTTP/1.1\r\n", ErrMethod},
	{"empty line of a bare LF", "\n<!>GET / HTTP/1.1\r\n", ErrBareLF},
	{"empty line of a bare CR", "\rG<!>ET / HTTP/1.1\r\n", ErrBareCR},
	{"HTTP/2 preface", "PRI *<!> HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrTargetForm},

	{"method with a control byte", "GE\x01<!>T / HTTP/1.1\r\n", ErrMethod},
	{"method with a separator", "GET(<!>) / HTTP/1.1\r\n", ErrMethod},
	{"method with a tab behind", "GET\t<!>/ HTTP/1.1\r\n", ErrMethod},
	{"method alone", "GET\r<!>\n\r\n", ErrMethod},
	{"method of 33 bytes", strings.Repeat("A", 33) + "<!> / HTTP/1.1\r\n", ErrMethod},
	{"non-ASCII method", "G\xc3<!>\x89T / HTTP/1.1\r\n", ErrMethod},

	{"absolute-form", "GET h<!>ttp://localhost/ HTTP/1.1\r\n", ErrTargetForm},
	{"authority-form", "CONNECT l<!>ocalhost:443 HTTP/1.1\r\n", ErrTargetForm},
	{"asterisk-form", "OPTIONS *<!> HTTP/1.1\r\n", ErrTargetForm},
	{"query without a path", "GET ?<!>a=b HTTP/1.1\r\n", ErrTargetForm},
	{"two spaces before the target", "GET  <!>/ HTTP/1.1\r\n", ErrTarget},
	{"tab before the target", "GET \t<!>/ HTTP/1.1\r\n", ErrTarget},
	{"no target", "GET \r<!>\n\r\n", ErrTarget},
	{"NUL in the target", "GET /\x00<!> HTTP/1.1\r\n", ErrTarget},
	{"escape in the target", "GET /\x1b<!>[2J HTTP/1.1\r\n", ErrTarget},
	{"DEL in the target", "GET /\x7f<!> HTTP/1.1\r\n", ErrTarget},
	{"fragment in the target", "GET /#<!>top HTTP/1.1\r\n", ErrTarget},
	{"quote in the target", "GET /\"<!> HTTP/1.1\r\n", ErrTarget},
	{"angle bracket in the target", "GET /<<!>script> HTTP/1.1\r\n", ErrTarget},
	{"raw UTF-8 in the target", "GET /\xc3<!>\xbc HTTP/1.1\r\n", ErrTarget},
	{"tab behind the target", "GET /\t<!>HTTP/1.1\r\n", ErrTarget},
	{"HTTP/0.9", "GET /\r<!>\n", ErrHTTPVersion},
	{"HTTP/0.9 with a bare LF", "GET /\n<!>", ErrBareLF},

	{"HTTP/0.9 spelled out", "GET / HTTP/0<!>.9\r\n", ErrHTTPVersion},
	{"HTTP/2.0", "GET / HTTP/2<!>.0\r\n", ErrHTTPVersion},
	{"HTTP/3.0", "GET / HTTP/3<!>.0\r\n", ErrHTTPVersion},
	{"lower-case version", "GET / h<!>ttp/1.1\r\n", ErrRequestLine},
	{"two spaces before the version", "GET /  <!>HTTP/1.1\r\n", ErrRequestLine},
	{"another third word", "GET / f<!>oo HTTP/1.1\r\n", ErrRequestLine},
	{"space in the target", "GET /a b<!> HTTP/1.1\r\n", ErrRequestLine},
	{"another protocol", "GET / HTTPS<!>/1.1\r\n", ErrRequestLine},
	{"version without a digit", "GET / HTTP/x<!>.1\r\n", ErrRequestLine},
	{"version without a dot", "GET / HTTP/11<!>\r\n", ErrRequestLine},
	{"version without a minor digit", "GET / HTTP/1.\r<!>\n", ErrRequestLine},
	{"version with two minor digits", "GET / HTTP/1.11<!>\r\n", ErrRequestLine},
	{"version with two major digits", "GET / HTTP/10<!>.1\r\n", ErrRequestLine},
	{"space behind the version", "GET / HTTP/1.1 <!>\r\n", ErrRequestLine},
	{"request line with a bare LF", "GET / HTTP/1.1\n<!>Host: a\n\n", ErrBareLF},
	{"request line with a bare CR", "GET / HTTP/1.1\rH<!>ost: a\r\r", ErrBareCR},
	{"request line with two CRs", "GET / HTTP/1.1\r\r<!>\n", ErrBareCR},

	// Header lines.
	{"white space before the first header", "GET / HTTP/1.1\r\n <!>Host: a\r\n\r\n", ErrFolding},
	{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n <!>c\r\n\r\n", ErrFolding},
	{"folded line with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\t<!>c\r\n\r\n", ErrFolding},
	{"line of white space", "GET / HTTP/1.1\r\nHost: a\r\n <!>\r\n\r\n", ErrFolding},
	{"bare LF behind a value", "GET / HTTP/1.1\r\nHost: a\n<!>\r\n", ErrBareLF},
	{"bare LF behind an empty value", "GET / HTTP/1.1\r\nX:\n<!>\r\n", ErrBareLF},
	{"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n<!>", ErrBareLF},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rb<!>\r\n\r\n", ErrBareCR},
	{"bare CR as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX<!>", ErrBareCR},
	{"two CRs", "GET / HTTP/1.1\r\nHost: a\r\r<!>\n\r\n", ErrBareCR},
	{"space before the colon", "GET / HTTP/1.1\r\nHost <!>: a\r\n\r\n", ErrHeaderName},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost\t<!>: a\r\n\r\n", ErrHeaderName},
	{"bare CR in a known name", "GET / HTTP/1.1\r\nUser\r<!>Agent: a\r\n\r\n", ErrHeaderName},
	{"empty name", "GET / HTTP/1.1\r\n:<!> a\r\n\r\n", ErrHeaderName},
	{"name without a colon", "GET / HTTP/1.1\r\nHost\r<!>\n\r\n", ErrHeaderName},
	{"name without a colon, bare LF", "GET / HTTP/1.1\r\nHost\n<!>\n", ErrHeaderName},
	{"NUL in a name", "GET / HTTP/1.1\r\nHo\x00<!>st: a\r\n\r\n", ErrHeaderName},
	{"non-ASCII name", "GET / HTTP/1.1\r\nH\xc3<!>\xb6st: a\r\n\r\n", ErrHeaderName},
	{"separator in a name", "GET / HTTP/1.1\r\n[<!>Host]: a\r\n\r\n", ErrHeaderName},
	{"NUL in a value", "GET / HTTP/1.1\r\nX: a\x00<!>b\r\n\r\n", ErrHeaderValue},
	{"escape in a value", "GET / HTTP/1.1\r\nX: 0123456789\x1b<!>[2J\r\n\r\n", ErrHeaderValue},
	{"DEL in a value", "GET / HTTP/1.1\r\nX: 0123456789\x7f<!>\r\n\r\n", ErrHeaderValue},
	{"form feed around a value", "GET / HTTP/1.1\r\nX: \x0c<!>a\r\n\r\n", ErrHeaderValue},

	// Host.
	{"no Host", "GET / HTTP/1.1\r\n\r\n<!>", ErrMissingHost},
	{"no Host in HTTP/1.2", "GET / HTTP/1.2\r\nX: a\r\n\r\n<!>", ErrMissingHost},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n<!>\r\n", ErrDuplicateHost},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n<!>\r\n", ErrDuplicateHost},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n<!>\r\n", ErrHost},
	{"Host of white space", "GET / HTTP/1.1\r\nHost: \t \r\n<!>\r\n", ErrHost},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n<!>\r\n", ErrHost},
	{"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n<!>\r\n", ErrHost},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n<!>\r\n", ErrHost},
	{"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n<!>\r\n", ErrHost},
	{"Host with a scheme", "GET / HTTP/1.1\r\nHost: http://a\r\n<!>\r\n", ErrHost},
	{"port alone", "GET / HTTP/1.1\r\nHost: :80\r\n<!>\r\n", ErrHost},
	{"port with letters", "GET / HTTP/1.1\r\nHost: a:http\r\n<!>\r\n", ErrHost},
	{"port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n<!>\r\n", ErrHost},
	{"port far too large", "GET / HTTP/1.1\r\nHost: a:99999999999999999999999999\r\n<!>\r\n", ErrHost},
	{"two ports", "GET / HTTP/1.1\r\nHost: a:80:80\r\n<!>\r\n", ErrHost},
	{"bare IPv6 address", "GET / HTTP/1.1\r\nHost: ::1\r\n<!>\r\n", ErrHost},
	{"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n<!>\r\n", ErrHost},
	{"empty brackets", "GET / HTTP/1.1\r\nHost: []\r\n<!>\r\n", ErrHost},
	{"bad byte in brackets", "GET / HTTP/1.1\r\nHost: [::1%25lo]\r\n<!>\r\n", ErrHost},
	{"text behind brackets", "GET / HTTP/1.1\r\nHost: [::1]80\r\n<!>\r\n", ErrHost},
	{"bad percent", "GET / HTTP/1.1\r\nHost: a%2\r\n<!>\r\n", ErrHost},
	{"bad percent digit", "GET / HTTP/1.1\r\nHost: a%2gb\r\n<!>\r\n", ErrHost},
	{"non-ASCII Host", "GET / HTTP/1.1\r\nHost: k\xc3\xb6ln\r\n<!>\r\n", ErrHost},

	// What may come only once.
	{"two Origins", "GET / HTTP/1.1\r\nOrigin: http://a\r\nOrigin: http://b\r\n<!>\r\n", ErrDuplicate},
	{"two Origins, the first empty", "GET / HTTP/1.1\r\nOrigin:\r\nOrigin: http://b\r\n<!>\r\n", ErrDuplicate},
	{"two Cookies", "GET / HTTP/1.1\r\nCookie: a=b\r\ncookie: c=d\r\n<!>\r\n", ErrDuplicate},
	{"two Authorizations", "GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n<!>\r\n", ErrDuplicate},
	{"two User-Agents", "GET / HTTP/1.1\r\nUser-Agent: a\r\nUser-Agent: a\r\n<!>\r\n", ErrDuplicate},
	{"two Last-Event-IDs", "GET / HTTP/1.1\r\nLast-Event-ID: a\r\nLast-Event-ID: b\r\n<!>\r\n", ErrDuplicate},
	{"two keys", "GET / HTTP/1.1\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Key: a\r\n<!>\r\n", ErrDuplicate},
	{"two versions", "GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n<!>\r\n", ErrDuplicate},
	{"five protocol lines", "GET / HTTP/1.1\r\n" + strings.Repeat("Sec-WebSocket-Protocol: a\r\n", 5) + "<!>\r\n", ErrTooManyLines},
	{"five extension lines", "GET / HTTP/1.1\r\n" + strings.Repeat("Sec-WebSocket-Extensions: a\r\n", 5) + "<!>\r\n", ErrTooManyLines},

	// Bodies.
	{"Content-Length", "POST / HTTP/1.1\r\nContent-Length: 1\r\n<!>\r\nx", ErrBody},
	{"empty Content-Length", "POST / HTTP/1.1\r\nContent-Length:\r\n<!>\r\n", ErrBody},
	{"Content-Length with a sign", "POST / HTTP/1.1\r\nContent-Length: +0\r\n<!>\r\n", ErrBody},
	{"Content-Length with two zeros", "POST / HTTP/1.1\r\nContent-Length: 00\r\n<!>\r\n", ErrBody},
	{"list of Content-Lengths", "POST / HTTP/1.1\r\nContent-Length: 0, 0\r\n<!>\r\n", ErrBody},
	{"two Content-Lengths", "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n<!>\r\n", ErrBody},
	{"chunked", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n<!>\r\n", ErrBody},
	{"chunked and Content-Length", "POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n<!>\r\n", ErrBody},
	{"identity", "POST / HTTP/1.1\r\nTransfer-encoding: identity\r\n<!>\r\n", ErrBody},
	{"empty Transfer-Encoding", "POST / HTTP/1.0\r\nTransfer-Encoding:\r\n<!>\r\n", ErrBody},

	// Connection and Upgrade.
	{"Connection with a parameter", "GET / HTTP/1.1\r\nConnection: keep-alive; timeout=5\r\n<!>\r\n", ErrTokenList},
	{"Connection with two words", "GET / HTTP/1.1\r\nConnection: keep-alive Upgrade\r\n<!>\r\n", ErrTokenList},
	{"Upgrade with two words", "GET / HTTP/1.1\r\nUpgrade: web socket\r\n<!>\r\n", ErrTokenList},
	{"Upgrade with an empty version", "GET / HTTP/1.1\r\nUpgrade: websocket/\r\n<!>\r\n", ErrTokenList},
	{"Upgrade with two versions", "GET / HTTP/1.1\r\nUpgrade: websocket/13/14\r\n<!>\r\n", ErrTokenList},
	{"Upgrade with quotes", "GET / HTTP/1.1\r\nUpgrade: \"websocket\"\r\n<!>\r\n", ErrTokenList},
}

func TestParseRequestRefuses(t *testing.T) {
	for _, row := range badRequests {
		t.Run(row.name, func(t *testing.T) {
			before, after, marked := strings.Cut(row.in, "<!>")
			if !marked {
				t.Fatal("no mark")
			}
			in := []byte(before + after)
			for n := range len(in) + 1 {
				r, used, err := ParseRequest(in[:n], RequestLimits{})
				if n < len(before) {
					if err != nil || used != 0 {
						t.Fatalf("%q: %d, error %v, want more", in[:n], used, err)
					}
				} else if !errors.Is(err, row.want) || used != 0 {
					t.Fatalf("%q: %d, error %v, want %v", in[:n], used, err, row.want)
				}
				if r.Method != nil || r.Host != nil {
					t.Fatalf("%q: a request came with the error or without its end", in[:n])
				}
			}
		})
	}
}

func TestParseRequestFields(t *testing.T) {
	in := "\r\nGET /stream/a%20b?topics=px.AAPL&x=?[1]{2}|\\^`'%zz HTTP/1.1\r\n" +
		"hOST:\tlocalhost:8080 \t \r\n" +
		"Origin: http://localhost:8080\r\n" +
		"Authorization: Bearer abc\r\n" +
		"Cookie: a=b; c=d\r\n" +
		"User-Agent: J\xf6rg's browser\r\n" +
		"Last-Event-ID: k3Qd:918273\r\n" +
		"SEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"sec-websocket-version: 13\r\n" +
		"Accept: text/event-stream\r\n" +
		"Accept: text/html\r\n" +
		"Accept-Encoding: gzip\r\n" +
		"Accept-Encoding: br\r\n" +
		"If-None-Match: \"a\"\r\n" +
		"If-None-Match: \"b\"\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\n" +
		"X-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n" +
		"Sec-WebSocket-Protocol: a, b\r\n" +
		"Sec-WebSocket-Protocol: c\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\n" +
		"Content-Length: 0\r\n" +
		"Upgrade: h2c/2, WebSocket\r\n" +
		"Connection: keep-alive\r\n" +
		"Connection: ,, foo ,UPGRADE,\r\n" +
		"Empty:\r\n" +
		"Xost: not ours\r\nXrigin: a\r\nXpgrade: a\r\nXonnection: a\r\nXuthorization: a\r\nXontent-length: 7\r\n" +
		"X-forwarded-fox: a\r\nXec-websocket-key: a\r\nSec-WebSocket-Xersion: a\r\nSec-WebSocket-Xrotocol: a\r\n" +
		"Sec-WebSocket-Xxtensions: a\r\n" +
		"\r\n"
	const rest = "\x81\x85frames"
	buf := []byte(in + rest)
	r, n, err := ParseRequest(buf, RequestLimits{})
	if err != nil || n != len(in) || string(buf[n:]) != rest {
		t.Fatalf("%d, %v", n, err)
	}
	for _, row := range []struct{ name, got, want string }{
		{"Method", string(r.Method), "GET"},
		{"Target", string(r.Target), "/stream/a%20b?topics=px.AAPL&x=?[1]{2}|\\^`'%zz"},
		{"Path", string(r.Path), "/stream/a%20b"},
		{"Query", string(r.Query), "topics=px.AAPL&x=?[1]{2}|\\^`'%zz"},
		{"Minor", fmt.Sprint(r.Minor), "1"},
		{"Host", string(r.Host), "localhost:8080"},
		{"Origin", string(r.Origin), "http://localhost:8080"},
		{"Authorization", string(r.Authorization), "Bearer abc"},
		{"Cookie", string(r.Cookie), "a=b; c=d"},
		{"UserAgent", string(r.UserAgent), "J\xf6rg's browser"},
		{"LastEventID", string(r.LastEventID), "k3Qd:918273"},
		{"Key", string(r.Key), "dGhlIHNhbXBsZSBub25jZQ=="},
		{"Version", string(r.Version), "13"},
		{"Accept", string(r.Accept), "text/event-stream"},
		{"AcceptEncoding", string(r.AcceptEncoding), "gzip"},
		{"IfNoneMatch", string(r.IfNoneMatch), `"a"`},
		{"ForwardedFor", string(r.ForwardedFor), "192.0.2.2, 192.0.2.3"},
		{"Protocols", fmt.Sprintf("%q", r.Protocols), `["a, b" "c" "" ""]`},
		{"Extensions", fmt.Sprintf("%q", r.Extensions), `["permessage-deflate" "" "" ""]`},
		{"Upgrade", fmt.Sprint(r.Upgrade), "true"},
		{"ConnectionUpgrade", fmt.Sprint(r.ConnectionUpgrade), "true"},
		{"ConnectionClose", fmt.Sprint(r.ConnectionClose), "false"},
		{"ConnectionKeepAlive", fmt.Sprint(r.ConnectionKeepAlive), "true"},
	} {
		if row.got != row.want {
			t.Errorf("%s is %q, want %q", row.name, row.got, row.want)
		}
	}
	if err := r.CheckUpgrade(); err != nil {
		t.Error("CheckUpgrade:", err)
	}
	for _, field := range [][]byte{r.Method, r.Target, r.Path, r.Query, r.Host, r.Origin, r.Key, r.Protocols[0]} {
		_ = append(field, "garbage"...)
	}
	for n := range len(in) {
		if r, used, err := ParseRequest(buf[:n], RequestLimits{}); used != 0 || err != nil || r.Method != nil {
			t.Fatalf("the first %d bytes: %d, %v", n, used, err)
		}
	}
	if string(buf) != in+rest {
		t.Error("the input was changed")
	}
}

// Plain requests that must pass, with what follows from their version and Connection header.
func TestParseRequestAccepts(t *testing.T) {
	for _, row := range []struct {
		name, in  string
		keepAlive bool
	}{
		{"smallest", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", true},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", false},
		{"HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"HTTP/1.0 in two minds", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
		{"HTTP/1.1 that goes", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", true},
		{"HTTP/1.9", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", true},
		{"another method", "PATCH /x HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"lower-case method", "get /x HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"odd method", "!#$%&'*+-.^_`|~09azAZ /x HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"method of 32 bytes", strings.Repeat("A", 32) + " / HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"empty query", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"double slash", "GET //a/../b;c=d,e:@f HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"no length", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true},
		{"IPv4 Host", "GET / HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n\r\n", true},
		{"IPv6 Host", "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:8080\r\n\r\n", true},
		{"IPv6 Host without a port", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", true},
		{"Host with an empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", true},
		{"Host with everything", "GET / HTTP/1.1\r\nHost: a-._~!$&'()*+,;=%C3%b6\r\n\r\n", true},
		{"name of all token bytes", "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n", true},
		{"colons and tabs in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: :\t: \xff\r\n\r\n", true},
		{"colon right behind the colon", "GET / HTTP/1.1\r\nHost: a\r\nX::\r\n\r\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, rest := range []string{"", "\r\n", "GET / HTTP/1.1\r\n", "\x00\n"} {
				r, n, err := ParseRequest([]byte(row.in+rest), RequestLimits{})
				if err != nil || n != len(row.in) {
					t.Fatalf("%d of %d, %v", n, len(row.in), err)
				}
				if r.KeepAlive() != row.keepAlive {
					t.Errorf("KeepAlive() = %v", r.KeepAlive())
				}
				method, line, _ := strings.Cut(row.in, " ")
				target, _, _ := strings.Cut(line, " ")
				path, query, _ := strings.Cut(target, "?")
				if string(r.Method) != method || string(r.Target) != target || string(r.Path) != path || string(r.Query) != query {
					t.Errorf("%q %q %q %q", r.Method, r.Target, r.Path, r.Query)
				}
			}
		})
	}
}

// Each byte in each kind of place, against the grammar written down a second time.
func TestRequestBytes(t *testing.T) {
	const tchar = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		b := string([]byte{byte(c)})
		isTchar := strings.Contains(tchar, b)
		for _, row := range []struct {
			name, before, after string
			ok                  bool
		}{
			{"method", "A", "B / HTTP/1.1\r\nHost: a\r\n\r\n", isTchar},
			{"target", "GET /", "? HTTP/1.1\r\nHost: a\r\n\r\n", c > ' ' && c < 0x7F && !strings.Contains(`"#<>`, b)},
			{"query", "GET /?", "x HTTP/1.1\r\nHost: a\r\n\r\n", c > ' ' && c < 0x7F && !strings.Contains(`"#<>`, b)},
			{"name", "GET / HTTP/1.1\r\nHost: a\r\nX", "Y: b\r\n\r\n", isTchar || c == ':'},
			{"value", "GET / HTTP/1.1\r\nHost: a\r\nX: a", "bcdefghijk\r\n\r\n", c >= ' ' && c != 0x7F || c == '\t'},
			{"value's second word", "GET / HTTP/1.1\r\nHost: a\r\nX: 01234567abc", "defghijklm\r\n\r\n", c >= ' ' && c != 0x7F || c == '\t'},
			{"connection option", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x", "y\r\n\r\n", isTchar || c == ','},
		} {
			if row.name == "method" && c == ' ' {
				continue // "A B / HTTP/1.1": the target's fault
			}
			_, n, err := ParseRequest([]byte(row.before+b+row.after), RequestLimits{})
			if (err == nil) != row.ok || (n > 0) != row.ok {
				t.Errorf("%q in %s: %d, %v, want ok %v", b, row.name, n, err, row.ok)
			}
		}
	}
}

func TestRequestLimits(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, row := range []struct {
		name string
		in   string
		lim  RequestLimits
		want error
	}{
		{"exactly as long as allowed", head, RequestLimits{MaxBytes: len(head)}, nil},
		{"and more behind it", head + "more", RequestLimits{MaxBytes: len(head)}, nil},
		{"one byte too long", head, RequestLimits{MaxBytes: len(head) - 1}, ErrHeadTooLarge},
		{"not complete where it would have to be", head[:len(head)-1], RequestLimits{MaxBytes: len(head) - 1}, ErrHeadTooLarge},
		{"not complete one byte before that", head[:len(head)-1], RequestLimits{MaxBytes: len(head)}, nil},
		{"line not complete where it would have to be", "GET /", RequestLimits{MaxBytes: 5}, ErrTargetTooLong},
		{"one byte of the first header", head, RequestLimits{MaxBytes: len("GET / HTTP/1.1\r\nH")}, ErrHeadTooLarge},
		{"exactly the request line", head, RequestLimits{MaxBytes: len("GET / HTTP/1.1\r\n")}, ErrHeadTooLarge},
		{"request line too long", head, RequestLimits{MaxBytes: len("GET / HTTP/1.1\r")}, ErrTargetTooLong},
		{"target too long", "GET /" + strings.Repeat("x", DefaultMaxHead), RequestLimits{}, ErrTargetTooLong},
		{"header too long", head[:len(head)-2] + "X: " + strings.Repeat("x", DefaultMaxHead), RequestLimits{}, ErrHeadTooLarge},
		{"a bad byte beyond the limit is not seen", head[:len(head)-2] + "X: " + strings.Repeat("x", DefaultMaxHead) + "\x00", RequestLimits{}, ErrHeadTooLarge},
		{"a bad byte before the limit is", head[:len(head)-2] + "X: \x00" + strings.Repeat("x", DefaultMaxHead), RequestLimits{}, ErrHeaderValue},
		{"longest head by default", head[:len(head)-2] + "X:" + strings.Repeat("x", DefaultMaxHead-len(head)-4) + "\r\n\r\n", RequestLimits{}, nil},
		{"longest head and one", head[:len(head)-2] + "X:" + strings.Repeat("x", DefaultMaxHead-len(head)-3) + "\r\n\r\n", RequestLimits{}, ErrHeadTooLarge},
		{"as many headers as allowed", head, RequestLimits{MaxHeaders: 1}, nil},
		{"one header too many, unfinished", head[:len(head)-2] + "X", RequestLimits{MaxHeaders: 1}, ErrTooManyHeaders},
		{"no more headers, unfinished", head[:len(head)-2], RequestLimits{MaxHeaders: 1}, nil},
		{"100 headers", head[:len(head)-2] + strings.Repeat("A:b\r\n", 99) + "\r\n", RequestLimits{}, nil},
		{"101 headers", head[:len(head)-2] + strings.Repeat("A:b\r\n", 100) + "\r\n", RequestLimits{}, ErrTooManyHeaders},
		{"nothing yet", "", RequestLimits{}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, n, err := ParseRequest([]byte(row.in), row.lim)
			if err != row.want && !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			if complete := strings.Contains(row.in, "\r\n\r\n"); err == nil && (n > 0) != complete {
				t.Errorf("n = %d", n)
			}
			// However the bytes come, the verdict is the same, and never another before it.
			for cut := 0; cut < len(row.in); cut += 1 + len(row.in)/1000 {
				if _, n, early := ParseRequest([]byte(row.in[:cut]), row.lim); early != nil && early != err || err != nil && n > 0 {
					t.Fatalf("the first %d bytes: %d, %v, want %v", cut, n, early, err)
				}
			}
		})
	}
}

// requestErrors names all rules of the handshake with their status.
var requestErrors = []struct {
	name   string
	status int
	err    *RequestError
}{
	{"ErrMethod", 400, ErrMethod},
	{"ErrTarget", 400, ErrTarget},
	{"ErrTargetForm", 400, ErrTargetForm},
	{"ErrTargetTooLong", 414, ErrTargetTooLong},
	{"ErrRequestLine", 400, ErrRequestLine},
	{"ErrHTTPVersion", 505, ErrHTTPVersion},
	{"ErrBareLF", 400, ErrBareLF},
	{"ErrBareCR", 400, ErrBareCR},
	{"ErrFolding", 400, ErrFolding},
	{"ErrHeaderName", 400, ErrHeaderName},
	{"ErrHeaderValue", 400, ErrHeaderValue},
	{"ErrHeadTooLarge", 431, ErrHeadTooLarge},
	{"ErrTooManyHeaders", 431, ErrTooManyHeaders},
	{"ErrTokenList", 400, ErrTokenList},
	{"ErrBody", 400, ErrBody},
	{"ErrHost", 400, ErrHost},
	{"ErrMissingHost", 400, ErrMissingHost},
	{"ErrDuplicateHost", 400, ErrDuplicateHost},
	{"ErrDuplicate", 400, ErrDuplicate},
	{"ErrTooManyLines", 400, ErrTooManyLines},
	{"ErrNotUpgrade", 426, ErrNotUpgrade},
	{"ErrConnection", 400, ErrConnection},
	{"ErrUpgradeMethod", 405, ErrUpgradeMethod},
	{"ErrHTTP10", 400, ErrHTTP10},
	{"ErrVersion", 426, ErrVersion},
	{"ErrKey", 400, ErrKey},
	{"ErrProtocols", 400, ErrProtocols},
	{"ErrExtensions", 400, ErrExtensions},
}

func TestRequestErrors(t *testing.T) {
	reasons := make(map[string]bool)
	for _, e := range requestErrors {
		var as *RequestError
		if !errors.As(error(e.err), &as) || as.Status != e.status {
			t.Errorf("%s: status %d, want %d", e.name, e.err.Status, e.status)
		}
		if e.err.Error() != "wsproto: "+e.err.Reason || reasons[e.err.Reason] {
			t.Errorf("%s: %q, or its reason is not its own", e.name, e.err.Error())
		}
		reasons[e.err.Reason] = true
	}
}

// The span that looks at eight bytes at a time sees what a loop over single bytes sees.
func TestValueLen(t *testing.T) {
	for c := range 256 {
		for length := range 20 {
			for at := range length {
				b := bytes.Repeat([]byte{'x'}, length)
				b[at] = byte(c)
				want := length
				if c < ' ' && c != '\t' || c == 0x7F {
					want = at
				}
				if got := valueLen(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
				for i := range b { // neighbours that borrow and carry
					if i != at {
						b[i] = [...]byte{0x80, 0xFF, ' ', '\t', 0x7E, '!'}[i%6]
					}
				}
				if got := valueLen(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}

// The search that looks at eight bytes at a time finds what bytes.IndexByte finds, among neighbours that differ in one bit too.
func TestColonAt(t *testing.T) {
	for length := range 20 {
		for at := range length + 1 {
			for _, other := range []byte{'x', ';', ':' + 0x80, 0x00, 0xFF, '9'} {
				b := bytes.Repeat([]byte{other}, length)
				if at < length {
					b[at] = ':'
				}
				for _, again := range []int{at, length - 1} { // a second one behind the first
					if again > at {
						b[again] = ':'
					}
					want := bytes.IndexByte(b, ':')
					if want < 0 {
						want = length
					}
					if got := colonAt(b); got != want {
						t.Fatalf("%q: %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

// Names are compared by words: one wrong byte anywhere is seen, and what differs in case alone is the same.
func TestFold(t *testing.T) {
	for _, lower := range []string{
		"host", "close", "accept", "upgrade", "if-match", "websocket", "connection", "accept-encoding", "sec-websocket-key",
		"sec-websocket-version", "sec-websocket-extensions",
	} {
		for at := range len(lower) {
			for c := range 256 {
				b := []byte(lower)
				b[at] = byte(c)
				if got, want := fold(b, lower), bytes.Equal(bytes.ToLower(b), []byte(lower)) && c < 0x80; got != want {
					t.Fatalf("%q and %q: %v, want %v", b, lower, got, want)
				}
			}
		}
		if b := []byte(strings.ToUpper(lower)); !fold(b, lower) || fold(b[1:], lower) || fold(append(b, 'x'), lower) {
			t.Errorf("%q", b)
		}
	}
}

// Every header that means something is known by its name in any case, and by no other name.
func TestHeaderOf(t *testing.T) {
	names := []string{
		hostHeader: "Host", originHeader: "Origin", cookieHeader: "Cookie", acceptHeader: "Accept", upgradeHeader: "Upgrade",
		connectionHeader: "Connection", userAgentHeader: "User-Agent", retryAfterHeader: "Retry-After",
		authorizationHeader: "Authorization", lastEventIDHeader: "Last-Event-ID", ifNoneMatchHeader: "If-None-Match",
		contentLengthHeader: "Content-Length", acceptEncodingHeader: "Accept-Encoding", forwardedForHeader: "X-Forwarded-For",
		transferEncodingHeader: "Transfer-Encoding", keyHeader: "Sec-WebSocket-Key", versionHeader: "Sec-WebSocket-Version",
		protocolHeader: "Sec-WebSocket-Protocol", extensionsHeader: "Sec-WebSocket-Extensions", acceptKeyHeader: "Sec-WebSocket-Accept",
	}
	for want, name := range names[1:] {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := headerOf([]byte(spelled)); int(got) != want+1 {
				t.Errorf("%s: %d, want %d", spelled, got, want+1)
			}
		}
		for at := range len(name) {
			for c := range 256 {
				other := []byte(name)
				other[at] = byte(c)
				if got := headerOf(other); got != otherHeader && !strings.EqualFold(names[got], string(other)) {
					t.Errorf("%q: %s", other, names[got])
				}
				// No byte that is not one of a token gets into a name because the name is known.
				in := "GET / HTTP/1.1\r\n" + string(other) + ": x\r\n\r\n"
				if _, _, err := ParseRequest([]byte(in), RequestLimits{}); !token.has(byte(c)) && c != ':' && err == nil {
					t.Errorf("%q passes", in)
				}
			}
		}
	}
}
