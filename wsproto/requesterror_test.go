package wsproto

import (
	"errors"
	"strings"
	"testing"
)

// badRequests has one row or more for each rule. The mark <!> in a request is not sent. It follows the byte that must cause
// the error; the bytes before that one must not cause any.
var badRequests = []struct {
	name string
	in   string
	want *RequestError
}{
	// First bytes: input that is not HTTP is refused at once.
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
	{"wildcard in the target", "GET /stream?topics=px.><!> HTTP/1.1\r\n", ErrTargetGreater},
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

	// Field lines.
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

	// Fields that may come only once.
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
	{"unknown expectation", "GET / HTTP/1.1\r\nExpect: 200-ok\r\n<!>\r\n", ErrExpectation},
	{"two expectations", "GET / HTTP/1.1\r\nExpect: 100-continue, 200-ok\r\n<!>\r\n", ErrExpectation},
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

// requestErrors names all rules of the request with their status.
var requestErrors = []struct {
	name   string
	status int
	err    *RequestError
}{
	{"ErrMethod", 400, ErrMethod},
	{"ErrTarget", 400, ErrTarget},
	{"ErrTargetGreater", 400, ErrTargetGreater},
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
	{"ErrLengthNeeded", 411, ErrLengthNeeded},
	{"ErrExpectation", 417, ErrExpectation},
	{"ErrBodyTooLarge", 413, ErrBodyTooLarge},
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
