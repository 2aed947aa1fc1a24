package wsproto

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

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

// Plain requests that must pass, with the persistence that follows from their version and Connection field.
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

// Each byte in each kind of place, compared with a second version of the grammar.
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
				continue // "A B / HTTP/1.1": an error of the target
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
			// The result does not depend on the cuts of the input, and no other error comes before it.
			for cut := 0; cut < len(row.in); cut += 1 + len(row.in)/1000 {
				if _, n, early := ParseRequest([]byte(row.in[:cut]), row.lim); early != nil && early != err || err != nil && n > 0 {
					t.Fatalf("the first %d bytes: %d, %v, want %v", cut, n, early, err)
				}
			}
		})
	}
}

// Where a POST may have a body, a chunked one is refused as HTTP allows, and the ways of smuggling a request are attacks.
func TestChunkedBody(t *testing.T) {
	for _, row := range []struct {
		method, fields string
		want           error
	}{
		{"POST", "Transfer-Encoding: chunked", ErrLengthNeeded},
		{"POST", "transfer-encoding: Chunked\r\nExpect: 100-continue", ErrLengthNeeded},
		{"GET", "Transfer-Encoding: chunked", ErrBody},
		{"POST", "Content-Length: 5\r\nTransfer-Encoding: chunked", ErrBody},
		{"POST", "Transfer-Encoding: chunked\r\nContent-Length: 5", ErrBody},
		{"POST", "Transfer-Encoding: chunked\r\nContent-Length: 0", ErrBody},
		{"POST", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", ErrBody},
		{"POST", "Transfer-Encoding: gzip, chunked", ErrBody},
		{"POST", "Transfer-Encoding: chunked, identity", ErrBody},
		{"POST", "Transfer-Encoding: xchunked", ErrBody},
		{"POST", "Transfer-Encoding: \"chunked\"", ErrBody},
		{"POST", "Transfer-Encoding: chunked;a=b", ErrBody},
		{"POST", "Transfer-Encoding:", ErrBody},
		{"POST", "Content-Length: 5\r\nExpect: 100-Continue", nil},
		{"POST", "Content-Length: 5\r\nExpect: 100-continue, x", ErrExpectation},
		{"POST", "Content-Length: 5\r\nExpect:", ErrExpectation},
	} {
		in := row.method + " / HTTP/1.1\r\nHost: a\r\n" + row.fields + "\r\n\r\n"
		r, n, err := ParseRequest([]byte(in), RequestLimits{Body: true})
		if err != row.want || err == nil && (n != len(in) || r.BodyLength != 5 || !r.Continue) {
			t.Errorf("%s %q: %d, %+v, %v", row.method, row.fields, n, r, err)
		}
	}
	old := "POST / HTTP/1.0\r\nContent-Length: 5\r\n"
	if r, n, err := ParseRequest([]byte(old+"Expect: 100-continue\r\n\r\n"), RequestLimits{Body: true}); n == 0 || err != nil || r.Continue {
		t.Errorf("HTTP/1.0: %d, %+v, %v", n, r, err)
	}
	if _, _, err := ParseRequest([]byte(old+"Transfer-Encoding: chunked\r\n"), RequestLimits{Body: true}); err != ErrBody {
		t.Error(err)
	}
}
